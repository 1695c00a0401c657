package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"usher"
)

// Accounts signs people in. Its contract is that of internal/auth.Accounts.
type Accounts interface {
	SignIn(ctx context.Context, login, password, address string) (token string, a usher.Account, ends time.Time, err error)
	Who(ctx context.Context, token string) (a usher.Account, ends time.Time, err error)
	Still(ctx context.Context, token string) (usher.Account, error)
	SignOut(ctx context.Context, token string) error
	ChangeOwn(ctx context.Context, id, token, old, password string) error
	AccountKeeper
}

// AccountKeeper keeps accounts.
type AccountKeeper interface {
	List(ctx context.Context) ([]usher.Account, error)
	Get(ctx context.Context, id string) (usher.Account, error)
	Create(ctx context.Context, a usher.Account, password string) (usher.Account, error)
	Change(ctx context.Context, id string, password *string, keep string, fn func(*usher.Account) error) (before, after usher.Account, err error)
	Delete(ctx context.Context, id string, check func(usher.Account) error) (usher.Account, error)
}

const (
	sessionCookie = "usher_session"
	consoleHeader = "X-Usher-Console" // a page of another site cannot send it
)

// accounts are those of the configuration.
func (s *Server) accounts() (Accounts, error) {
	if s.cfg.Accounts == nil {
		return nil, usher.Errorf(usher.Unavailable, "this server has no accounts")
	}
	return s.cfg.Accounts, nil
}

// cookieOf returns the session's token, or "".
func cookieOf(h http.Header) string {
	c, err := (&http.Request{Header: h}).Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// whoSignedIn finds the principal of a session. Changes must carry the console's
// header.
func (s *Server) whoSignedIn(r *http.Request, token string) (usher.Principal, error) {
	accounts, err := s.accounts()
	if err != nil {
		return usher.Principal{}, err
	}
	a, _, err := accounts.Who(r.Context(), token)
	if err != nil {
		return usher.Principal{}, err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(consoleHeader) == "" {
		e := usher.Errorf(usher.PermissionDenied, "the header %s is required to change something with a session", consoleHeader)
		e.Hint = "send " + consoleHeader + ": 1"
		return usher.Principal{}, e.At("header." + consoleHeader)
	}
	return a.Principal(), nil
}

// stillSignedIn is the principal of a session that is not in use by that.
func (s *Server) stillSignedIn(ctx context.Context, token string) (usher.Principal, error) {
	accounts, err := s.accounts()
	if err != nil {
		return usher.Principal{}, err
	}
	a, err := accounts.Still(ctx, token)
	return a.Principal(), err
}

// setCookie gives the browser the session, or takes it away. Behind a proxy that
// speaks HTTPS it is sent over HTTPS only.
func setCookie(c *call, token string, ends time.Time) {
	k := http.Cookie{ //nolint:gosec // Secure where there is HTTPS: a first start is on plain HTTP
		Name: sessionCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: c.header.Get("X-Forwarded-Proto") == "https", Expires: ends,
	}
	if token == "" {
		k.MaxAge = -1
	}
	c.out.Add("Set-Cookie", k.String())
}

type signInRequest struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// sessionView is who is signed in.
type sessionView struct {
	Account   usher.Account `json:"account"`
	Scopes    []string      `json:"scopes"`
	ExpiresAt time.Time     `json:"expires_at"`
}

func showSession(a usher.Account, ends time.Time) sessionView {
	return sessionView{Account: a, Scopes: list(a.Role.Scopes()), ExpiresAt: ends}
}

// signIn begins a session. A form of another site cannot send JSON, so nobody is
// signed in by a page he only visits.
func (s *Server) signIn(ctx context.Context, c *call, req signInRequest) (sessionView, error) {
	accounts, err := s.accounts()
	if err != nil {
		return sessionView{}, err
	}
	if mediaType(c.header.Get("Content-Type")) != "application/json" {
		return sessionView{}, usher.Errorf(usher.InvalidArgument, "the body must be application/json").At("header.Content-Type")
	}
	token, a, ends, err := accounts.SignIn(ctx, req.Login, req.Password, c.from)
	if err != nil {
		return sessionView{}, err
	}
	if old := cookieOf(c.header); old != "" {
		if err := accounts.SignOut(ctx, old); err != nil {
			return sessionView{}, err
		}
	}
	setCookie(c, token, ends)
	return showSession(a, ends), nil
}

func (s *Server) getSession(ctx context.Context, c *call) (sessionView, error) {
	accounts, err := s.accounts()
	if err != nil {
		return sessionView{}, err
	}
	if c.by.Kind != "account" {
		return sessionView{}, usher.Errorf(usher.NotFound, "this is a key and no session")
	}
	a, ends, err := accounts.Who(ctx, cookieOf(c.header))
	if err != nil {
		return sessionView{}, err
	}
	setCookie(c, cookieOf(c.header), ends) // its end moves with use
	return showSession(a, ends), nil
}

// signOut ends the session; without one there is nothing to end.
func (s *Server) signOut(ctx context.Context, c *call) (nothing, error) {
	accounts, err := s.accounts()
	if err != nil {
		return nothing{}, err
	}
	token := cookieOf(c.header)
	if token != "" && c.header.Get(consoleHeader) == "" {
		return nothing{}, usher.Errorf(usher.PermissionDenied, "the header %s is required", consoleHeader).At("header." + consoleHeader)
	}
	if token != "" {
		if err := accounts.SignOut(ctx, token); err != nil {
			return nothing{}, err
		}
	}
	setCookie(c, "", time.Unix(1, 0))
	return nothing{}, nil
}

type passwordRequest struct {
	Password    string `json:"password"`
	NewPassword string `json:"new_password"`
}

func (s *Server) changePassword(ctx context.Context, c *call, req passwordRequest) (nothing, error) {
	accounts, err := s.accounts()
	if err != nil {
		return nothing{}, err
	}
	if c.by.Kind != "account" {
		return nothing{}, usher.Errorf(usher.NotFound, "this is a key and no session")
	}
	if err := accounts.ChangeOwn(ctx, c.by.ID, cookieOf(c.header), req.Password, req.NewPassword); err != nil {
		return nothing{}, err
	}
	s.audit(ctx, c, "account.password", c.by.ID, nil, nil)
	return nothing{}, nil
}

// AccountRequest describes an account to be made.
type AccountRequest struct {
	Name     string     `json:"name"`
	Login    string     `json:"login"`
	Password string     `json:"password"`
	Role     usher.Role `json:"role"`
	AgentID  string     `json:"agent_id,omitempty"` // required of the role agent
	Language string     `json:"language,omitempty"`
}

func (s *Server) listAccounts(ctx context.Context, _ *call) (page[usher.Account], error) {
	accounts, err := s.accounts()
	if err != nil {
		return page[usher.Account]{}, err
	}
	all, err := accounts.List(ctx)
	if err != nil {
		return page[usher.Account]{}, err
	}
	return paged(all, ""), nil
}

func (s *Server) createAccount(ctx context.Context, c *call, req AccountRequest) (usher.Account, error) {
	accounts, err := s.accounts()
	if err != nil {
		return usher.Account{}, err
	}
	a, err := accounts.Create(ctx, usher.Account{
		Name: strings.TrimSpace(req.Name), Login: req.Login, Role: req.Role, AgentID: req.AgentID, Language: req.Language,
	}, req.Password)
	if err != nil {
		return usher.Account{}, err
	}
	c.out.Set("ETag", tag(a.Version))
	s.audit(ctx, c, "account.create", a.ID, nil, a)
	return a, nil
}

func (s *Server) getAccount(ctx context.Context, c *call) (usher.Account, error) {
	accounts, err := s.accounts()
	if err != nil {
		return usher.Account{}, err
	}
	a, err := accounts.Get(ctx, c.param("id"))
	if err != nil {
		return usher.Account{}, err
	}
	c.out.Set("ETag", tag(a.Version))
	return a, nil
}

// accountChange is a wish for an account; nil fields stay as they are.
type accountChange struct {
	Name     *string     `json:"name"`
	Login    *string     `json:"login"`
	Password *string     `json:"password"`
	Role     *usher.Role `json:"role"`
	AgentID  *string     `json:"agent_id"`
	Language *string     `json:"language"`
	Disabled *bool       `json:"disabled"`
}

func (s *Server) patchAccount(ctx context.Context, c *call, req accountChange) (usher.Account, error) {
	accounts, err := s.accounts()
	if err != nil {
		return usher.Account{}, err
	}
	before, after, err := accounts.Change(ctx, c.param("id"), req.Password, cookieOf(c.header), func(a *usher.Account) error {
		if !c.match().Version(a.Version) {
			return stale("the account")
		}
		set(&a.Name, req.Name)
		set(&a.Login, req.Login)
		set(&a.Role, req.Role)
		set(&a.AgentID, req.AgentID)
		set(&a.Language, req.Language)
		set(&a.Disabled, req.Disabled)
		if a.Role != usher.RoleAgent && req.AgentID == nil {
			a.AgentID = "" // another role has no agent
		}
		return nil
	})
	if err != nil {
		return usher.Account{}, err
	}
	c.out.Set("ETag", tag(after.Version))
	s.audit(ctx, c, "account.change", after.ID, before, after)
	return after, nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Server) deleteAccount(ctx context.Context, c *call) (nothing, error) {
	accounts, err := s.accounts()
	if err != nil {
		return nothing{}, err
	}
	a, err := accounts.Delete(ctx, c.param("id"), func(a usher.Account) error {
		if !c.match().Version(a.Version) {
			return stale("the account")
		}
		return nil
	})
	if err != nil {
		return nothing{}, err
	}
	s.audit(ctx, c, "account.delete", a.ID, a, nil)
	return nothing{}, nil
}
