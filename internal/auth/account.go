package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/time/rate"

	"usher"
)

// How passwords are hashed: 19 MiB and two passes, 33 ms of one core. Few are
// hashed at once, or their memory would be the attack.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashBytes   = 32
	saltBytes   = 16
	hashAtOnce  = 2
	hashWait    = 5 * time.Second
)

const (
	leastPassword = 10 // bytes
	maxPassword   = 256
	maxLogin      = 64
	signInFor     = 12 * time.Hour
	prolongAfter  = 5 * time.Minute // a sign-in in use is written again at most so often
	maxLimiters   = 10_000
)

// AccountStore keeps accounts and their sign-ins.
type AccountStore interface {
	Accounts(ctx context.Context) ([]usher.Account, error)
	AccountByID(ctx context.Context, id string) (usher.Account, error)
	AccountByLogin(ctx context.Context, login string) (usher.Account, bool, error)
	PutAccount(ctx context.Context, a usher.Account, was int) error
	DeleteAccount(ctx context.Context, id string) error
	SignInByHash(ctx context.Context, hash []byte) (usher.SignIn, bool, error)
	PutSignIn(ctx context.Context, s usher.SignIn) error
	ProlongSignIn(ctx context.Context, s usher.SignIn) error
	DeleteSignIn(ctx context.Context, hash []byte) error
	DeleteSignIns(ctx context.Context, accountID string, but []byte) error
	SweepSignIns(ctx context.Context, before time.Time) error
}

// Accounts signs people in to the console. NewAccounts makes one.
type Accounts struct {
	store AccountStore
	now   func() time.Time
	newID func(kind string) string
	slots chan struct{}
	decoy string // the hash of no password: an unknown login costs what a known one does

	mu        sync.Mutex // also over the check that an administrator remains
	logins    limits
	addresses limits
	homes     map[string]bool // logins with addresses where they signed in before
}

// NewAccounts returns the accounts of a store.
func NewAccounts(store AccountStore, now func() time.Time, newID func(kind string) string) *Accounts {
	return &Accounts{
		store: store, now: now, newID: newID, slots: make(chan struct{}, hashAtOnce), decoy: hashPassword(RandomPassword()),
		homes:     map[string]bool{},
		logins:    limits{every: 6 * time.Second, burst: 10, all: map[string]*rate.Limiter{}},
		addresses: limits{every: time.Second, burst: 60, all: map[string]*rate.Limiter{}},
	}
}

// limits are buckets of tries, one for each name.
type limits struct {
	every time.Duration
	burst int
	all   map[string]*rate.Limiter
}

// take spends a try, or says how long to wait for the next.
func (l *limits) take(name string, now time.Time) time.Duration {
	b, ok := l.all[name]
	if !ok {
		if len(l.all) >= maxLimiters {
			clear(l.all)
		}
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.all[name] = b
	}
	if b.AllowN(now, 1) {
		return 0
	}
	return max(time.Second, time.Duration((1-b.TokensAt(now))*float64(l.every)))
}

// SignIn checks login and password and begins a session. The answer to a wrong
// login, a wrong password and a disabled account is the same, after the same
// work. address is where the try comes from; too many tries from there, or for
// that login, are RateLimited. Where a login has signed in before it has tries of
// its own: strangers who guess keep nobody out of his office.
func (a *Accounts) SignIn(ctx context.Context, login, password, address string) (string, usher.Account, time.Time, error) {
	if login = normalLogin(login); len(login) > maxLogin {
		login = "" // nobody's, and not to be remembered
	}
	now, home := a.now().UTC(), login+"\x00"+address
	a.mu.Lock()
	tries := login
	if a.homes[home] {
		tries = home
	}
	wait := max(a.logins.take(tries, now), a.addresses.take(address, now))
	a.mu.Unlock()
	if wait > 0 {
		e := usher.Errorf(usher.RateLimited, "too many tries to sign in")
		e.RetryAfter = wait
		return "", usher.Account{}, time.Time{}, e
	}
	acc, known, err := a.store.AccountByLogin(ctx, login)
	if err != nil {
		return "", usher.Account{}, time.Time{}, fmt.Errorf("find account: %w", err)
	}
	hash := a.decoy
	if known {
		hash = acc.Hash
	}
	fits, err := a.verify(ctx, password, hash)
	if err != nil {
		return "", usher.Account{}, time.Time{}, err
	}
	if !fits || !known || acc.Disabled {
		return "", usher.Account{}, time.Time{}, usher.Errorf(usher.Unauthenticated, "login and password do not fit")
	}
	a.mu.Lock()
	delete(a.logins.all, tries)
	if len(a.homes) >= maxLimiters {
		clear(a.homes)
	}
	a.homes[home] = true
	a.mu.Unlock()
	if err := a.store.SweepSignIns(ctx, now); err != nil {
		return "", usher.Account{}, time.Time{}, fmt.Errorf("sweep sign-ins: %w", err)
	}
	token, s := newSignIn(acc.ID, now)
	if err := a.store.PutSignIn(ctx, s); err != nil {
		return "", usher.Account{}, time.Time{}, fmt.Errorf("store sign-in: %w", err)
	}
	return token, acc, s.ExpiresAt, nil
}

func newSignIn(accountID string, now time.Time) (string, usher.SignIn) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, usher.SignIn{Hash: tokenHash(token), AccountID: accountID, CreatedAt: now, ExpiresAt: now.Add(signInFor)}
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Who returns the account of a session and when it ends. Use moves its end to
// twelve hours from now. A session that is unknown or over is Unauthenticated.
func (a *Accounts) Who(ctx context.Context, token string) (usher.Account, time.Time, error) {
	acc, s, err := a.signedIn(ctx, token)
	if err != nil {
		return usher.Account{}, time.Time{}, err
	}
	if end := a.now().UTC().Add(signInFor); end.Sub(s.ExpiresAt) >= prolongAfter {
		s.ExpiresAt = end
		if err := a.store.ProlongSignIn(ctx, s); err != nil {
			return usher.Account{}, time.Time{}, fmt.Errorf("prolong sign-in: %w", err)
		}
	}
	return acc, s.ExpiresAt, nil
}

// Still returns the account of a session as Who does, and leaves its end where it
// is: an open page alone is no use.
func (a *Accounts) Still(ctx context.Context, token string) (usher.Account, error) {
	acc, _, err := a.signedIn(ctx, token)
	return acc, err
}

func (a *Accounts) signedIn(ctx context.Context, token string) (usher.Account, usher.SignIn, error) {
	over := usher.Errorf(usher.Unauthenticated, "the sign-in is unknown or over")
	s, ok, err := a.store.SignInByHash(ctx, tokenHash(token))
	if err != nil {
		return usher.Account{}, usher.SignIn{}, fmt.Errorf("find sign-in: %w", err)
	}
	now := a.now().UTC()
	if !ok || !now.Before(s.ExpiresAt) {
		return usher.Account{}, usher.SignIn{}, over
	}
	acc, err := a.store.AccountByID(ctx, s.AccountID)
	if usher.CodeOf(err) == usher.NotFound || err == nil && acc.Disabled {
		return usher.Account{}, usher.SignIn{}, over
	}
	if err != nil {
		return usher.Account{}, usher.SignIn{}, err
	}
	return acc, s, nil
}

// SignOut ends a session; one that is unknown is no error.
func (a *Accounts) SignOut(ctx context.Context, token string) error {
	return a.store.DeleteSignIn(ctx, tokenHash(token))
}

// List returns all accounts by login.
func (a *Accounts) List(ctx context.Context) ([]usher.Account, error) { return a.store.Accounts(ctx) }

// Get returns an account.
func (a *Accounts) Get(ctx context.Context, id string) (usher.Account, error) {
	return a.store.AccountByID(ctx, id)
}

// Create makes an account; its ID, times and version are given here.
func (a *Accounts) Create(ctx context.Context, acc usher.Account, password string) (usher.Account, error) {
	acc.ID, acc.CreatedAt, acc.Version = a.newID("acc"), a.now().UTC(), 1
	acc.Login = normalLogin(acc.Login)
	details := checkAccount(&acc)
	details = append(details, checkPassword(password)...)
	if err := faulty(details); err != nil {
		return usher.Account{}, err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return usher.Account{}, err
	}
	acc.Hash = hash
	return acc, a.store.PutAccount(ctx, acc, 0)
}

// Change applies fn to an account, and gives it another password unless password
// is nil. A new password, and being disabled, signs it out everywhere but where
// keep, a session's token, says. The last administrator stays one.
func (a *Accounts) Change(ctx context.Context, id string, password *string, keep string, fn func(*usher.Account) error) (before, after usher.Account, err error) {
	hash := ""
	if password != nil {
		if err := faulty(checkPassword(*password)); err != nil {
			return before, after, err
		}
		if hash, err = a.hash(ctx, *password); err != nil {
			return before, after, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if before, err = a.store.AccountByID(ctx, id); err != nil {
		return before, after, err
	}
	after = before
	if err := fn(&after); err != nil {
		return before, after, err
	}
	after.Login = normalLogin(after.Login)
	if hash != "" {
		after.Hash = hash
	}
	if err := faulty(checkAccount(&after)); err != nil {
		return before, after, err
	}
	if administers(&before) && !administers(&after) {
		if err := a.anotherAdmin(ctx, id); err != nil {
			return before, after, err
		}
	}
	after.Version = before.Version + 1
	if err := a.store.PutAccount(ctx, after, before.Version); err != nil {
		return before, after, err
	}
	if hash != "" || after.Disabled {
		var but []byte
		if keep != "" {
			but = tokenHash(keep)
		}
		err = a.store.DeleteSignIns(ctx, id, but)
	}
	return before, after, err
}

// ChangeOwn gives an account another password when it knows the present one. The
// session of token goes on, all others end.
func (a *Accounts) ChangeOwn(ctx context.Context, id, token, old, password string) error {
	acc, err := a.store.AccountByID(ctx, id)
	if err != nil {
		return err
	}
	now := a.now()
	a.mu.Lock()
	wait := a.logins.take(acc.Login, now)
	a.mu.Unlock()
	if wait > 0 {
		e := usher.Errorf(usher.RateLimited, "too many tries")
		e.RetryAfter = wait
		return e
	}
	fits, err := a.verify(ctx, old, acc.Hash)
	if err != nil {
		return err
	}
	if !fits {
		return usher.Errorf(usher.PermissionDenied, "the present password does not fit").At("password")
	}
	_, _, err = a.Change(ctx, id, &password, token, func(*usher.Account) error { return nil })
	return err
}

// Delete removes an account, unless it is the last administrator.
func (a *Accounts) Delete(ctx context.Context, id string, check func(usher.Account) error) (usher.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, err := a.store.AccountByID(ctx, id)
	if err != nil {
		return acc, err
	}
	if err := check(acc); err != nil {
		return acc, err
	}
	if administers(&acc) {
		if err := a.anotherAdmin(ctx, id); err != nil {
			return acc, err
		}
	}
	return acc, a.store.DeleteAccount(ctx, id)
}

// First makes the account admin with a random password when there is no account,
// and returns the password; "" when there are accounts.
func (a *Accounts) First(ctx context.Context) (string, error) {
	have, err := a.store.Accounts(ctx)
	if err != nil || len(have) > 0 {
		return "", err
	}
	password := RandomPassword()
	_, err = a.Create(ctx, usher.Account{Name: "Administrator", Login: "admin", Role: usher.RoleAdmin}, password)
	return password, err
}

func administers(a *usher.Account) bool { return a.Role == usher.RoleAdmin && !a.Disabled }

func (a *Accounts) anotherAdmin(ctx context.Context, than string) error {
	all, err := a.store.Accounts(ctx)
	if err != nil {
		return fmt.Errorf("list accounts: %w", err)
	}
	if slices.ContainsFunc(all, func(o usher.Account) bool { return o.ID != than && administers(&o) }) {
		return nil
	}
	e := usher.Errorf(usher.Conflict, "this is the last administrator")
	e.Hint = "make another account an administrator first"
	return e
}

func normalLogin(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func checkAccount(a *usher.Account) []usher.Detail {
	var out []usher.Detail
	add := func(path, code, message string) {
		out = append(out, usher.Detail{Path: path, Code: code, Message: message})
	}
	if strings.TrimSpace(a.Name) == "" || len(a.Name) > 200 || !utf8.ValidString(a.Name) {
		add("name", "required", "name is required, at most 200 bytes")
	}
	if a.Login == "" || len(a.Login) > maxLogin || !utf8.ValidString(a.Login) ||
		strings.ContainsFunc(a.Login, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '/' }) {
		add("login", "required", fmt.Sprintf("login is required, at most %d bytes, without spaces", maxLogin))
	}
	if !slices.Contains(usher.Roles(), a.Role) {
		add("role", "unknown_value", "role is one of admin, manager, supervisor, agent, viewer")
	}
	switch {
	case a.Role == usher.RoleAgent && a.AgentID == "":
		add("agent_id", "required", "an account with the role agent names its agent")
	case a.Role != usher.RoleAgent && a.AgentID != "":
		add("agent_id", "not_allowed", "only the role agent is bound to an agent")
	case len(a.AgentID) > 256:
		add("agent_id", "too_long", "agent_id has at most 256 bytes")
	}
	if a.Language != "" && a.Language != "zh" && a.Language != "en" {
		add("language", "unknown_value", "language is zh or en")
	}
	return out
}

func checkPassword(p string) []usher.Detail {
	if len(p) < leastPassword || len(p) > maxPassword {
		return []usher.Detail{{Path: "password", Code: "out_of_range", Message: fmt.Sprintf("a password has %d to %d characters", leastPassword, maxPassword)}}
	}
	return nil
}

func faulty(d []usher.Detail) error {
	if len(d) == 0 {
		return nil
	}
	e := usher.Errorf(usher.InvalidArgument, "%s", d[0].Message)
	e.Path, e.Details = d[0].Path, d
	return e
}

// RandomPassword returns 100 random bits without letters that look alike.
func RandomPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		b.WriteByte(letters[n.Int64()])
	}
	return b.String()
}

// enter waits for a place among the few who hash.
func (a *Accounts) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		e := usher.Errorf(usher.Overloaded, "too many are signing in at once")
		e.RetryAfter = hashWait
		return nil, e
	}
}

func (a *Accounts) hash(ctx context.Context, password string) (string, error) {
	leave, err := a.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return hashPassword(password), nil
}

func (a *Accounts) verify(ctx context.Context, password, phc string) (bool, error) {
	if len(password) > maxPassword {
		password = "" // no password is so long
	}
	leave, err := a.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return verifyPassword(password, phc)
}

func hashPassword(password string) string {
	var salt [saltBytes]byte
	_, _ = rand.Read(salt[:]) // never fails: it ends the process instead
	key := argon2.IDKey([]byte(password), salt[:], hashPasses, hashMemory, hashThreads, hashBytes)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashThreads,
		enc.EncodeToString(salt[:]), enc.EncodeToString(key))
}

// verifyPassword hashes with the parameters that are in phc, so that they can
// change without ending passwords.
func verifyPassword(password, phc string) (bool, error) {
	bad := usher.Errorf(usher.Internal, "a stored password hash cannot be read")
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, bad
	}
	var version int
	var memory, passes uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil || memory > 1<<20 || passes == 0 || threads == 0 {
		return false, bad
	}
	enc := base64.RawStdEncoding
	salt, err := enc.DecodeString(parts[4])
	if err != nil {
		return false, bad
	}
	want, err := enc.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, bad
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
