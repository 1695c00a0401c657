package eval

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
	"usher/matcher/rank"
)

// RankingReport says how many ranking cases came out as a floor manager expects.
type RankingReport struct {
	Total  int             `json:"total"`
	Passed int             `json:"passed"`
	Cases  []RankingResult `json:"cases"`
}

// RankingResult is what became of one case. Missed is empty when it passed.
type RankingResult struct {
	File   string            `json:"file"`
	Name   string            `json:"name"`
	Missed []string          `json:"missed"` // one line per expectation that did not hold
	Reason string            `json:"reason"` // of the first, or why there is nobody
	Order  []usher.Candidate `json:"order"`  // as ranked; the rejected ones last
}

// WriteTo writes the misses, with the scores behind them, and the total.
func (r RankingReport) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	for _, c := range r.Cases {
		if len(c.Missed) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", c.File, c.Name)
		for _, m := range c.Missed {
			fmt.Fprintf(&b, "    %s\n", m)
		}
		for _, a := range c.Order {
			fmt.Fprintf(&b, "    %12s", a.AgentID)
			if a.Rejected != "" {
				fmt.Fprintf(&b, "  fails %s\n", a.Rejected)
				continue
			}
			fmt.Fprintf(&b, "  %+.3f ", a.Score.Float())
			for _, t := range a.Terms {
				fmt.Fprintf(&b, " %s %+.3f", t.Name, t.Value.Float())
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, "ranking: %d of %d cases as expected\n", r.Passed, r.Total)
	n, err := w.Write(b.Bytes())
	if err != nil {
		return int64(n), fmt.Errorf("write report: %w", err)
	}
	return int64(n), nil
}

// RunRanking runs every case of the *.txt files at the top of fsys, in order.
// Their format is told in eval/ranking/README.md. A line that cannot be read is
// an error that names it.
func RunRanking(fsys fs.FS) (RankingReport, error) {
	report := RankingReport{Cases: []RankingResult{}}
	files, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return report, fmt.Errorf("list ranking cases: %w", err)
	}
	if len(files) == 0 {
		return report, errors.New("list ranking cases: there are none")
	}
	for _, name := range files {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return report, fmt.Errorf("read ranking cases: %w", err)
		}
		cases, err := parseRanking(raw)
		if err != nil {
			return report, fmt.Errorf("read %s: %w", path.Base(name), err)
		}
		for i := range cases {
			got := cases[i].run()
			got.File = name
			report.Cases = append(report.Cases, got)
			report.Total++
			if len(got.Missed) == 0 {
				report.Passed++
			}
		}
	}
	return report, nil
}

// rankingCase is one situation and what is expected of it.
type rankingCase struct {
	name     string
	agents   []rankingAgent
	query    rank.Query
	tier     string
	service  usher.Service
	means    []usher.IntentP
	skills   []usher.Skill
	waiting  time.Duration
	relaxes  []relaxation
	language float64 // how sure it is
	outcome  usher.Outcome
	expected []expectation
}

type rankingAgent struct {
	rank.Agent
	rank.Load
}

// relaxation replaces what is required after a wait.
type relaxation struct {
	after   time.Duration
	require []usher.SkillLevel
}

// expectation is one line; alternatives are for first and second.
type expectation struct {
	kind string // first | second | none | blocked | never
	want []string
}

// sureLanguage is the probability from which the language is a hard filter.
const sureLanguage = 0.8

// floorTime is when every case happens; nothing depends on it.
func floorTime() time.Time { return time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) }

func newRankingCase(name string) *rankingCase {
	return &rankingCase{
		name: name, tier: usher.TierRegular, service: usher.ServiceNormal, outcome: usher.OutcomeAccept, language: 0.99,
		query: rank.Query{
			Now: floorTime(), ChannelID: string(usher.KindWeb), Units: 1, WorkspaceLanguage: "zh", Selection: usher.SelectBestFit,
		},
	}
}

func parseRanking(raw []byte) ([]rankingCase, error) {
	var cases []rankingCase
	var c *rankingCase
	flush := func() {
		if c != nil {
			cases = append(cases, *c)
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if word == "case" {
			flush()
			c = newRankingCase(rest)
			continue
		}
		if c == nil {
			return nil, fmt.Errorf("line %d: %q before the first case", n, word)
		}
		if err := c.statement(word, rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	flush()
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("scan lines: %w", err)
	}
	return cases, nil
}

// statement reads one line of a case.
func (c *rankingCase) statement(word, rest string) (err error) {
	q := &c.query
	switch word {
	case "agent":
		return c.agent(rest)
	case "customer":
		return c.customer(rest)
	case "channel":
		q.ChannelID, q.Interruptible = rest, usher.ChannelKind(rest).Interruptible()
	case "skill":
		name, intents, ok := strings.Cut(rest, " intents ")
		if !ok {
			return errors.New("a skill line is: skill NAME intents a,b")
		}
		c.skills = append(c.skills, usher.Skill{Name: unquote(name), Intents: list(intents)})
	case "selection":
		q.Selection = usher.Selection(rest)
	case "service":
		c.service = usher.Service(rest)
	case "require":
		q.Require, err = levels(rest)
	case "prefer":
		q.Prefer, err = levels(rest)
	case "waiting":
		c.waiting, err = span(rest)
	case "relax":
		return c.relax(rest)
	case "message":
		q.Language, _, _ = strings.Cut(rest, " ")
	case "language":
		tag, p, _ := strings.Cut(rest, " ")
		q.Language = tag
		c.language, err = strconv.ParseFloat(strings.TrimSpace(p), 64)
	case "means":
		return c.meaning(rest)
	case "outcome":
		c.outcome = usher.Outcome(rest)
	case "expect":
		kind, want, _ := strings.Cut(rest, " ")
		e := expectation{kind: kind}
		for x := range strings.SplitSeq(want, "|") {
			if x = unquote(x); x != "" {
				e.want = append(e.want, x)
			}
		}
		if !slices.Contains([]string{"first", "second", "none", "blocked", "never"}, kind) || (len(e.want) == 0) != (kind == "blocked") {
			return fmt.Errorf("unknown expectation %q", rest)
		}
		c.expected = append(c.expected, e)
	default:
		return fmt.Errorf("unknown statement %q", word)
	}
	return err
}

// relax reads "after 30s require skill:level".
func (c *rankingCase) relax(rest string) error {
	after, require, ok := strings.Cut(strings.TrimPrefix(rest, "after "), " require")
	if !ok {
		return errors.New("a relax line is: relax after 30s require skill:level")
	}
	at, err := span(after)
	if err != nil {
		return err
	}
	need, err := levels(require)
	if err != nil {
		return err
	}
	c.relaxes = append(c.relaxes, relaxation{at, need})
	return nil
}

func (c *rankingCase) meaning(rest string) error {
	for _, part := range list(rest) {
		label, p, _ := strings.Cut(part, " ")
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil {
			return fmt.Errorf("read intent %q: %w", part, err)
		}
		c.means = append(c.means, usher.IntentP{Label: label, Probability: v})
	}
	return nil
}

func (c *rankingCase) agent(rest string) (err error) {
	groups := groups(rest)
	if len(groups) == 0 {
		return errors.New("an agent needs an id")
	}
	a := rankingAgent{Agent: rank.Agent{ID: unquote(groups[0]), Units: 3, Interruptible: -1}, Load: rank.Load{Presence: usher.PresenceOnline}}
	reserved := 0
	for _, g := range groups[1:] {
		key, value, _ := strings.Cut(g, " ")
		value = strings.TrimSpace(value)
		switch key {
		case "skills":
			a.Skills, err = levels(value)
		case "languages":
			var tongues []usher.SkillLevel
			tongues, err = levels(value)
			for _, l := range tongues {
				a.Languages = append(a.Languages, usher.LanguageLevel{Tag: l.Name, Level: l.Level})
			}
		case "units":
			a.Units, err = strconv.Atoi(value)
		case "interruptible":
			a.Interruptible, err = strconv.Atoi(value)
		case "used":
			a.Used, err = strconv.Atoi(value)
		case "reserved":
			reserved, err = strconv.Atoi(value)
		case "presence":
			a.Presence = usher.Presence(value)
			if !a.Presence.Valid() {
				err = fmt.Errorf("unknown presence %q", value)
			}
		case "teams":
			a.Teams = list(value)
		case "channels":
			a.Channels = list(value)
		case "idle":
			a.IdleSince, err = ago(value)
		case "last_assigned":
			a.LastAssigned, err = ago(value)
		case "declined", "expired":
			c.query.Excluded = append(c.query.Excluded, a.ID)
		case "profile": // what a profile means is not known without a model
		default:
			err = fmt.Errorf("unknown key %q of an agent", key)
		}
		if err != nil {
			return err
		}
	}
	a.Used += reserved
	if a.Interruptible < 0 {
		a.Interruptible = a.Units
	}
	c.agents = append(c.agents, a)
	return nil
}

func (c *rankingCase) customer(rest string) (err error) {
	q := &c.query
	for _, g := range groups(rest) {
		key, value, _ := strings.Cut(g, " ")
		value = strings.TrimSpace(value)
		switch key {
		case "tier":
			c.tier = value
		case "dedicated":
			q.Dedicated = unquote(value)
		case "last":
			id, age, _ := strings.Cut(value, " ")
			q.Last = unquote(id)
			q.LastAge, err = span(age)
		case "open":
			q.OpenAgent = unquote(value)
		case "value":
			q.Value, err = strconv.ParseFloat(value, 64)
		default:
			err = fmt.Errorf("unknown key %q of a customer", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run ranks the case and compares.
func (c *rankingCase) run() RankingResult {
	blocked, reason, r := c.decide()
	got := RankingResult{Name: c.name, Reason: reason, Order: r.Candidates(), Missed: []string{}}
	ids := []string{}
	if reason != usher.ReasonUnsure && !blocked {
		for _, row := range r.Order {
			ids = append(ids, row.AgentID)
		}
	}
	at := func(i int) string {
		if i < len(ids) {
			return ids[i]
		}
		return "nobody (" + reason + ")"
	}
	for _, e := range c.expected {
		var ok bool
		var is string
		switch e.kind {
		case "first":
			is = at(0)
			ok = slices.Contains(e.want, is)
		case "second":
			is = at(1)
			ok = slices.Contains(e.want, is)
		case "none":
			is = reason
			ok = len(ids) == 0 && slices.Contains(e.want, is)
		case "blocked":
			is = reason
			ok = blocked
		case "never":
			is = strings.Join(ids, ", ")
			ok = !slices.ContainsFunc(e.want, func(id string) bool { return slices.Contains(ids, id) })
		}
		if !ok {
			got.Missed = append(got.Missed, fmt.Sprintf("expected %s %s, got %s", e.kind, strings.Join(e.want, " | "), is))
		}
	}
	return got
}

// decide follows the rules of routing as far as a case tells its state: block,
// the one question, the dedicated agent, seniors, then everyone.
func (c *rankingCase) decide() (blocked bool, reason string, r rank.Result) {
	if c.service == usher.ServiceBlock || c.tier == usher.TierBlacklist {
		return true, usher.ReasonBlacklist, r
	}
	t, q := c.table()
	var by rank.Service
	if c.service == usher.ServiceDedicatedFirst {
		by.DedicatedFirst = true
		if c.waiting < rank.SeniorsFor {
			by.Seniors = c.wanted()
		}
	}
	if _, ownFree := t.Passes(q.Dedicated, &q); !(by.DedicatedFirst && ownFree) && c.asks() {
		return false, usher.ReasonUnsure, r
	}
	id, reason := t.Choose(&q, &r, by)
	if id != "" {
		r = c.after(t, q, r) // who would have been next is a question to everyone
	}
	return false, reason, r
}

// after appends to a narrow ranking those who would come next among everyone.
func (c *rankingCase) after(t *rank.Table, q rank.Query, r rank.Result) rank.Result {
	var all rank.Result
	t.Rank(&q, &all)
	for _, row := range all.Order {
		if !slices.ContainsFunc(r.Order, func(x rank.Row) bool { return x.AgentID == row.AgentID }) {
			r.Order = append(r.Order, row)
		}
	}
	return r
}

// table makes the floor and completes the query.
func (c *rankingCase) table() (*rank.Table, rank.Query) {
	labels := c.labels()
	t := rank.NewTable(len(labels))
	for _, a := range c.agents {
		a.Prior = rank.Priors(labels, a.Skills, c.intentsOf)
		t.Put(a.Agent, a.Load)
	}
	q := c.query
	q.LanguageCertain = q.Language != "" && c.language >= sureLanguage
	if !q.LanguageCertain {
		q.LanguageProbability = c.language
	}
	q.Generalist = c.outcome == usher.OutcomeAbstain
	q.Top = len(c.agents)
	q.Require = c.required()
	if q.Value == 0 {
		q.Value = 1
		for _, tier := range usher.DefaultPolicy().Tiers {
			if tier.Name == c.tier {
				q.Value = tier.Weight
			}
		}
	}
	if len(c.means) > 0 {
		q.Intents = make([]float64, len(labels))
		rest, other := 1.0, float64(len(labels)-len(c.means))
		for _, m := range c.means {
			q.Intents[slices.Index(labels, m.Label)] = m.Probability
			rest -= m.Probability
		}
		for i, l := range labels {
			if !slices.ContainsFunc(c.means, func(m usher.IntentP) bool { return m.Label == l }) {
				q.Intents[i] = max(rest, 0) / other
			}
		}
	}
	return t, q
}

// labels are the service labels and what else the case names, ascending.
func (c *rankingCase) labels() []string {
	all := []string{
		"presales", "order_logistics", "return_refund", "payment_invoice", "account_security", "tech_howto",
		"complaint", "cancel_change", "promotion", "human_agent", "chitchat", "out_of_scope",
	}
	for _, m := range c.means {
		all = append(all, m.Label)
	}
	for _, s := range c.skills {
		all = append(all, s.Intents...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// required is what is required after the wait.
func (c *rankingCase) required() []usher.SkillLevel {
	need, since := c.query.Require, time.Duration(-1)
	for _, r := range c.relaxes {
		if c.waiting >= r.after && r.after > since {
			need, since = r.require, r.after
		}
	}
	return need
}

func (c *rankingCase) intentsOf(skill string) []string {
	for _, s := range c.skills {
		if s.Name == skill {
			return s.Intents
		}
	}
	return nil
}

// wanted are the skills that the requirements and the leading intent ask for.
func (c *rankingCase) wanted() []string {
	var names []string
	for _, r := range c.required() {
		names = append(names, r.Name)
	}
	if len(c.means) > 0 {
		top := slices.MaxFunc(c.means, func(a, b usher.IntentP) int { return cmp.Compare(a.Probability, b.Probability) })
		for _, s := range c.skills {
			if slices.Contains(s.Intents, top.Label) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// asks reports whether the customer is asked what he means: only when that is
// unsure, not on e-mail, and when the answer would change who serves him.
func (c *rankingCase) asks() bool {
	if c.outcome != usher.OutcomeClarify || c.query.Interruptible {
		return false
	}
	var served []string
	for _, m := range c.means {
		var names []string
		for _, s := range c.skills {
			if slices.Contains(s.Intents, m.Label) {
				names = append(names, s.Name)
			}
		}
		slices.Sort(names)
		served = append(served, strings.Join(names, ","))
	}
	slices.Sort(served)
	return len(slices.Compact(served)) > 1
}

// groups splits a line at two or more spaces outside quotes.
func groups(line string) []string {
	var parts []string
	quoted, from := false, 0
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(line[i:], "  "):
			if part := strings.TrimSpace(line[from:i]); part != "" {
				parts = append(parts, part)
			}
			from = i
		}
	}
	if part := strings.TrimSpace(line[from:]); part != "" {
		parts = append(parts, part)
	}
	return parts
}

// list splits at commas.
func list(s string) []string {
	var parts []string
	for p := range strings.SplitSeq(s, ",") {
		if p = unquote(p); p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// levels reads "name:level, …".
func levels(s string) ([]usher.SkillLevel, error) {
	var out []usher.SkillLevel
	for _, p := range list(s) {
		i := strings.LastIndex(p, ":")
		if i < 0 {
			return nil, fmt.Errorf("%q is not name:level", p)
		}
		n, err := strconv.Atoi(strings.TrimSpace(p[i+1:]))
		if err != nil {
			return nil, fmt.Errorf("read level of %q: %w", p, err)
		}
		out = append(out, usher.SkillLevel{Name: unquote(p[:i]), Level: n})
	}
	return out, nil
}

func unquote(s string) string { return strings.Trim(strings.TrimSpace(s), `"`) }

// span reads a duration in s, m, h or d.
func span(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil {
			return 0, fmt.Errorf("read days %q: %w", s, err)
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("read duration: %w", err)
	}
	return d, nil
}

func ago(s string) (time.Time, error) {
	d, err := span(s)
	return floorTime().Add(-d), err
}
