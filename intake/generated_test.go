package intake_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/intake"
	"usher/intake/identity"
	"usher/internal/sqlite"
	"usher/matcher"
)

// The generated world: people who write on several channels, and what misleads.
//
// A record is what one customer of usher stands for in truth: one account of one
// person, or a mailbox or number that several use. Whoever proves a key that he
// shares with others says his name, signs in, or writes by an account of his own
// at that time: without that nobody could tell the two apart (the test prints
// what happens then, see silent).

// human is one person.
type human struct {
	name    string
	phone   string
	email   string
	second  string // another address
	unionid string
	sub     string
	family  *family
	role    string // mailbox of a function that he reads
	was     string // who had his number before: name
}

// family shares a number, or a mailbox, or both.
type family struct {
	phone, email string
}

// said is one arrival.
type said struct {
	human   int // -1 = somebody who poses as another
	at      time.Duration
	channel string
	from    *usher.Identity
	ids     []usher.Identity
	name    string
	put     string // a row of the CRM instead of a message: its id
}

// proof is a shared key that a record has proven.
type proof struct {
	key string
	at  time.Duration
}

const (
	day    = 24 * time.Hour
	season = 60 * day
)

// generate makes n people and what they send in a season.
func generate(n int, seed uint64, silent bool) ([]human, []said) {
	r := rand.New(rand.NewPCG(seed, 1))
	chance := func(p float64) bool { return r.Float64() < p }
	first := strings.Fields("Mary John Anna Peter Laura David Emma Oscar Julia Henry Clara Simon Nora Felix Alice Hugo Sarah Edwin Irene Victor 伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀英 霞 平")
	last := strings.Fields("Smith Miller Brown Wilson Taylor Clark Walker Young King Wright 王 李 张 刘 陈 杨 赵 黄 周 吴")
	people := make([]human, n)
	phone := func(i int) string { return fmt.Sprintf("+86139%08d", i+1) }
	for i := range people {
		f, l := r.IntN(20), r.IntN(10)
		name := first[f] + " " + last[l]
		if chance(0.5) {
			name = last[l+10] + first[f+20]
		}
		h := human{name: name, phone: phone(i), email: fmt.Sprintf("p%d@mail.example", i), unionid: fmt.Sprintf("U%d", i)}
		if chance(0.05) {
			h.second = fmt.Sprintf("p%d@work.example", i)
		}
		if chance(0.6) {
			h.sub = fmt.Sprintf("sub-%d", i)
		}
		if chance(0.05) {
			h.role = fmt.Sprintf("info@shop%d.example", r.IntN(max(1, n/50)))
		}
		people[i] = h
	}
	for i := 0; i+3 < n; i++ { // families: two or three of a name
		if !chance(0.06) {
			continue
		}
		size := 2 + r.IntN(2)
		fam := &family{}
		if chance(0.6) {
			fam.phone = fmt.Sprintf("+8610%08d", i+1)
		}
		if fam.phone == "" || chance(0.5) {
			fam.email = fmt.Sprintf("family%d@mail.example", i)
		}
		surname := last[r.IntN(10)]
		for k := range size {
			p := &people[i+k]
			p.family, p.name = fam, first[(i*3+k*5)%20]+" "+surname
			if fam.email != "" && chance(0.4) {
				p.email = "" // has no own
			}
			if fam.phone != "" && chance(0.3) {
				p.phone = ""
			}
		}
		i += size
	}
	for i := range people { // numbers that were another's before
		if chance(0.04) && people[i].phone != "" {
			people[i].was = fmt.Sprintf("former %d", i)
		}
	}
	var all []said
	for i := range people {
		all = append(all, life(r, people, i, silent)...)
	}
	for range n / 25 { // who poses as another: a mail without DMARC, a typed number
		v := &people[r.IntN(n)]
		if v.email != "" {
			all = append(all, said{
				human: -1, at: season/3 + time.Duration(r.Int64N(int64(season/2))), channel: "mail", name: v.name,
				from: &usher.Identity{Kind: "email", Value: v.email, Level: usher.LevelClaimed},
			})
		}
		if v.phone != "" {
			all = append(all, said{
				human: -1, at: time.Duration(r.Int64N(int64(season))), channel: "web", name: v.name,
				from: &usher.Identity{Kind: "session", Value: fmt.Sprintf("thief-%d", r.Uint64()), Level: usher.LevelSigned},
				ids:  []usher.Identity{{Kind: "phone", Value: v.phone}},
			})
		}
	}
	slices.SortStableFunc(all, func(a, b said) int { return cmp.Compare(a.at, b.at) })
	return people, all
}

// life is what one person sends.
func life(r *rand.Rand, people []human, i int, silent bool) []said {
	chance := func(p float64) bool { return r.Float64() < p }
	h := &people[i]
	when := func() time.Duration { return time.Duration(r.Int64N(int64(season))) }
	spelled := func() string { // as people write their names
		switch w := strings.Fields(h.name); {
		case len(w) == 2 && chance(0.08):
			return w[0][:1] + ". " + w[1]
		case len(w) == 2 && chance(0.05):
			return w[0]
		case len(w) == 2 && len(w[1]) > 5 && chance(0.03):
			return w[0] + " " + w[1][:2] + w[1][3:] // a slip
		default:
			return h.name
		}
	}
	numbers, mails := []string{}, []string{}
	if h.phone != "" {
		numbers = append(numbers, h.phone)
	}
	if h.email != "" {
		mails = append(mails, h.email)
	}
	if h.second != "" && chance(0.3) {
		mails = []string{h.second}
	}
	shared := map[string]bool{}
	if f := h.family; f != nil {
		if f.phone != "" && (h.phone == "" || chance(0.5)) {
			numbers, shared[f.phone] = []string{f.phone}, true
		}
		if f.email != "" && (h.email == "" || chance(0.5)) {
			mails, shared[f.email] = []string{f.email}, true
		}
	}
	if h.role != "" && chance(0.5) {
		mails = []string{h.role}
	}
	prove := func(p float64) (out []usher.Identity) { // what he proves of himself, by one-time passwords
		for _, v := range numbers {
			if chance(p) {
				out = append(out, usher.Identity{Kind: "phone", Value: written(r, v), Level: usher.LevelProven})
			}
		}
		for _, v := range mails {
			if chance(p) {
				out = append(out, usher.Identity{Kind: "email", Value: written(r, v), Level: usher.LevelProven})
			}
		}
		return out
	}
	names := func(ids []usher.Identity, otherwise string) string { // who shares a key tells who he is
		for _, id := range ids {
			if v := identity.Normalise(id, "CN").Value; id.Proven() && shared[v] && !silent {
				return h.name
			}
		}
		return otherwise
	}
	var out []said
	add := func(s said) {
		s.human = i
		out = append(out, s)
		if chance(0.3) { // again, later
			s.at = min(season, s.at+time.Duration(r.Int64N(int64(10*day))))
			out = append(out, s)
		}
	}
	account := func(kind, value, channel string) usher.Identity {
		return usher.Identity{Kind: kind, Value: value, Level: usher.LevelSigned, Channel: channel}
	}
	if chance(0.5) { // the official account; half of them are bound to the open platform
		from := account("openid", fmt.Sprintf("o-oa-%d", i), "wechat")
		ids := prove(0.35)
		if chance(0.5) {
			ids = append(ids, account("unionid", h.unionid, ""))
		}
		add(said{at: when(), channel: "wechat", from: &from, ids: ids, name: names(ids, "")})
		if chance(0.5) {
			mini := account("openid", fmt.Sprintf("o-mini-%d", i), "mini")
			add(said{at: when(), channel: "mini", from: &mini, ids: []usher.Identity{account("unionid", h.unionid, "")}})
		}
	}
	if own := h.phone; own != "" && chance(0.4) { // the platform signs the number, and gives a profile name
		from := account("bsuid", fmt.Sprintf("CN.%d", i), "whatsapp")
		ids := []usher.Identity{account("wa_id", strings.TrimPrefix(own, "+"), "whatsapp"), account("phone", own, "")}
		add(said{at: when(), channel: "whatsapp", from: &from, ids: ids, name: spelled()})
	}
	if chance(0.5) { // the web, signed in or not; whoever is not may type what is wrong
		if h.sub != "" {
			from := account("user_id", h.sub, "")
			ids := prove(0.5)
			add(said{at: when(), channel: "web", from: &from, ids: ids, name: spelled()})
		} else {
			from := account("session", fmt.Sprintf("s-%d", i), "web")
			ids := prove(0.3)
			if len(ids) == 0 && len(numbers) > 0 && chance(0.5) {
				ids = []usher.Identity{{Kind: "phone", Value: typo(r, numbers[0])}}
			}
			add(said{at: when(), channel: "web", from: &from, ids: ids, name: names(ids, "")})
		}
	}
	if h.sub != "" && chance(0.4) {
		from := account("user_id", h.sub, "")
		add(said{at: when(), channel: "app", from: &from, ids: prove(0.4), name: spelled()})
	}
	if len(mails) > 0 && chance(0.5) {
		level := usher.LevelProven
		if chance(0.15) {
			level = usher.LevelClaimed // his domain signs nothing
		}
		from := usher.Identity{Kind: "email", Value: mails[0], Level: level}
		add(said{at: when(), channel: "mail", from: &from, name: spelled()})
	}
	if chance(0.5) { // the CRM's row
		ids := prove(0.7)
		if h.phone != "" && chance(0.2) {
			ids = append(ids, usher.Identity{Kind: "phone", Value: typo(r, h.phone)})
		}
		out = append(out, said{human: i, at: when(), put: fmt.Sprintf("crm-%d", i), ids: ids, name: spelled()})
	}
	if h.was != "" { // the one who had the number, 100 to 400 days before
		from := account("bsuid", "CN.former"+strconv.Itoa(i), "whatsapp")
		ids := []usher.Identity{account("wa_id", strings.TrimPrefix(h.phone, "+"), "whatsapp"), account("phone", h.phone, "")}
		out = append(out, said{
			human: len(people) + i, at: -100*day - time.Duration(r.Int64N(int64(300*day))), channel: "whatsapp", from: &from, ids: ids, name: h.was,
		})
	}
	return out
}

// written is a key as people and systems write it.
func written(r *rand.Rand, v string) string {
	switch {
	case strings.Contains(v, "@") && r.IntN(4) == 0:
		return strings.ToUpper(v[:1]) + v[1:]
	case strings.HasPrefix(v, "+86") && r.IntN(3) == 0:
		return v[3:6] + "-" + v[6:10] + " " + v[10:]
	default:
		return v
	}
}

// typo is a number with one wrong digit: often somebody else's.
func typo(r *rand.Rand, v string) string {
	b := []byte(v)
	i := len(b) - 1 - r.IntN(3)
	if r.IntN(4) > 0 {
		b[i] = '0' + byte(r.IntN(10))
	}
	return string(b)
}

// books is a desk before a real dispatcher over sqlite, on a clock of its own.
type books struct {
	db   *sqlite.DB
	desk *intake.Desk
	mu   sync.Mutex
	now  time.Time
	ids  int
}

func (b *books) at(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = now
}

func (b *books) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func openBooks(t *testing.T) *books {
	t.Helper()
	b := &books{now: beginning()}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	b.db = db
	for id, kind := range map[string]usher.ChannelKind{
		"wechat": usher.KindWeChat, "mini": usher.KindWeChat, "whatsapp": usher.KindWhatsApp, "mail": usher.KindEmail,
	} {
		if err := db.PutChannel(t.Context(), usher.Channel{ID: id, Kind: kind, Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := matcher.New(matcher.Config{Store: db, Engine: "test", Bundle: bundle(), Arrivals: 4096})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	<-d.Ready()
	b.desk, err = intake.New(intake.Config{
		Reader: db, Models: &models{}, Door: d, Now: b.clock, Region: "CN",
		Rules: func() intake.Rules { return d.Policy() },
		NewID: func(kind string) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.ids++
			return fmt.Sprintf("%s_%07d", kind, b.ids)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func beginning() time.Time { return time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC) }

// take lets one arrival in and returns its customer.
func (b *books) take(t *testing.T, s said) string {
	t.Helper()
	b.at(beginning().Add(s.at))
	adapter := usher.Principal{Kind: "system", ID: "channel"}
	if s.put != "" {
		c, _, err := b.desk.PutCustomer(t.Context(), key(), intake.CustomerChange{ID: s.put, Name: &s.name, Identities: s.ids})
		if err != nil {
			t.Fatalf("row %s: %v", s.put, err)
		}
		return c.ID
	}
	_, err := b.desk.Receive(t.Context(), adapter, intake.Request{
		Channel: s.channel, Text: "hello", From: s.from, Customer: intake.RequestCustomer{Identities: s.ids, Name: s.name},
	})
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	return owner(t, b.db, *s.from, s.channel)
}

// outcome is what became of a world.
type outcome struct {
	customers, links       int
	wrong, mixed           []string // links between people; records of two people
	safe, found            int      // pairs of one person's records that evidence connects, and that are connected
	suggested, same, total int
}

// judge runs the world and compares who is linked with who is one person.
func judge(t *testing.T, b *books, people []human, all []said) outcome {
	t.Helper()
	owners := map[string]map[int]bool{} // customer -> whose messages it holds
	proven := map[string][]proof{}      // customer -> keys
	users := map[string]map[int]bool{}  // key -> who proves it
	record := map[string]int{}
	for _, s := range all {
		id := b.take(t, s)
		if owners[id] == nil {
			owners[id] = map[int]bool{}
		}
		owners[id][s.human] = true
		record[id] = s.human
		ids := s.ids
		if s.from != nil {
			ids = append([]usher.Identity{*s.from}, ids...)
		}
		for _, k := range ids {
			k = identity.Normalise(k, "CN")
			if k.Shared() && k.Proven() {
				proven[id] = append(proven[id], proof{k.Key(), s.at})
				if users[k.Key()] == nil {
					users[k.Key()] = map[int]bool{}
				}
				users[k.Key()][s.human] = true
			}
		}
	}
	var o outcome
	ids := slices.Sorted(maps.Keys(owners))
	o.customers = len(ids)
	shows := func(id string) string {
		c, err := b.db.CustomerByID(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, k := range c.Identities {
			keys = append(keys, k.Key()+"/"+string(k.Grade()))
		}
		return fmt.Sprint(id, " of ", slices.Sorted(maps.Keys(owners[id])), " ", c.Name, " ", strings.Join(keys, " "))
	}
	component := map[string]string{}
	for _, id := range ids {
		person, err := b.db.Person(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		component[id] = person[0]
		for _, other := range person {
			if other > id && !sameHumans(owners[id], owners[other]) {
				o.wrong = append(o.wrong, shows(id)+" with "+shows(other))
			}
		}
		if len(owners[id]) > 1 {
			o.mixed = append(o.mixed, shows(id))
		}
	}
	links, err := b.db.Links(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.UndoneAt.IsZero() {
			o.links++
		}
	}
	of := map[int][]string{}
	for _, id := range ids {
		if len(owners[id]) == 1 && record[id] >= 0 {
			of[record[id]] = append(of[record[id]], id)
		}
	}
	for _, h := range slices.Sorted(maps.Keys(of)) {
		for i, a := range of[h] {
			for _, c := range of[h][i+1:] {
				o.total++
				if component[a] == component[c] {
					o.same++
				}
				if !provenTogether(proven[a], proven[c], users) {
					continue
				}
				o.safe++
				if component[a] == component[c] {
					o.found++
				}
			}
		}
	}
	open, err := b.db.Suggestions(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range open {
		if g.State == "open" {
			o.suggested++
		}
	}
	_ = people
	return o
}

func sameHumans(a, b map[int]bool) bool { return len(a) == 1 && len(b) == 1 && maps.Equal(a, b) }

// provenTogether reports whether both records have proven a key that only this
// person uses, a number within 90 days of each other, and no mailbox of a function.
func provenTogether(a, b []proof, users map[string]map[int]bool) bool {
	for _, x := range a {
		for _, y := range b {
			gap := (x.at - y.at).Abs()
			if x.key != y.key || len(users[x.key]) != 1 && !recycledOnly(users[x.key]) || strings.HasPrefix(x.key, "phone:") && gap > identity.Fresh {
				continue
			}
			if mail, is := strings.CutPrefix(x.key, "email:"); is && identity.Role(mail) {
				continue
			}
			return true
		}
	}
	return false
}

// recycledOnly reports whether the only other user of a number had it before.
func recycledOnly(who map[int]bool) bool {
	list := slices.Sorted(maps.Keys(who))
	return len(list) == 2 && list[1]-list[0] >= *worldSize
}

var worldSize = flag.Int("people", number("USHER_TEST_PEOPLE", 300), "how many people the generated world has")

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func TestGeneratedPeople(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{uint64(number("USHER_TEST_SEED", 1)), uint64(number("USHER_TEST_SEED", 1)) + 1} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			people, all := generate(*worldSize, seed, false)
			o := judge(t, openBooks(t), people, all)
			share := float64(o.found) / float64(max(1, o.safe))
			t.Logf("%d people, %d arrivals, %d customers, %d links, %d open suggestions", len(people), len(all), o.customers, o.links, o.suggested)
			t.Logf("wrong links %d; safe pairs %d, found %d (%.2f %%); of all %d pairs of one person's customers %d linked; %d customers hold messages of two people",
				len(o.wrong), o.safe, o.found, 100*share, o.total, o.same, len(o.mixed))
			for _, w := range o.wrong[:min(10, len(o.wrong))] {
				t.Errorf("wrong link: %s", w)
			}
			for _, m := range o.mixed { // one mailbox is one account, whoever writes from it
				if !strings.Contains(m, " address:mail/email:family") && !strings.Contains(m, " claimed_address:") && !strings.Contains(m, " address:mail/email:info@") {
					t.Errorf("messages of two people: %s", m)
				}
			}
			if o.safe < *worldSize/4 {
				t.Errorf("only %d pairs to find: the world says too little", o.safe)
			}
			want := 0.95
			if *worldSize < 1000 {
				want = 0.90 // a small world varies: its share has a standard error of a hundredth and more
			}
			if share < want {
				t.Errorf("%.2f %% of the safe pairs are found, want %.0f", 100*share, 100*want)
			}
		})
	}
}

// What happens when people who share a key say nothing that tells them apart is
// printed and not judged: no evidence could tell.
func TestSilentFamilies(t *testing.T) {
	if testing.Short() {
		t.Skip("a measurement")
	}
	t.Parallel()
	people, all := generate(*worldSize, 1, true)
	o := judge(t, openBooks(t), people, all)
	t.Logf("%d people who need not say their names: %d of %d links are between people who showed nothing apart", len(people), len(o.wrong), o.links)
}
