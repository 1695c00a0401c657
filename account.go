package usher

import "time"

// Role is what an account may do in the console.
type Role string

// The roles.
const (
	RoleAdmin      Role = "admin"      // everything
	RoleManager    Role = "manager"    // policy, FAQ, channels and reports, and what a supervisor may
	RoleSupervisor Role = "supervisor" // the floor by hand
	RoleAgent      Role = "agent"      // one agent's desk
	RoleViewer     Role = "viewer"     // reads reports and records
)

// Roles lists the roles, the widest first.
func Roles() []Role { return []Role{RoleAdmin, RoleManager, RoleSupervisor, RoleAgent, RoleViewer} }

// Scopes returns what a role may do; none for a role that is unknown.
func (r Role) Scopes() []string {
	switch r {
	case RoleAdmin:
		return []string{ScopeAdmin}
	case RoleManager:
		return []string{ScopeSupervisor, ScopePolicy, ScopeReports}
	case RoleSupervisor:
		return []string{ScopeSupervisor, ScopeReports}
	case RoleAgent:
		return []string{ScopeAgent}
	case RoleViewer:
		return []string{ScopeReports}
	default:
		return nil
	}
}

// Account is a person who signs in to the console.
type Account struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Login     string    `json:"login"` // unique, lower case
	Role      Role      `json:"role"`
	AgentID   string    `json:"agent_id,omitempty"` // of the role agent, and of no other
	Language  string    `json:"language,omitempty"` // of the console; "" = as the browser
	Hash      string    `json:"-"`                  // of the password, argon2id in PHC form
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
	Version   int       `json:"version"`
}

// Principal is the account as it acts.
func (a *Account) Principal() Principal {
	return Principal{Kind: "account", ID: a.ID, Scopes: a.Role.Scopes(), AgentID: a.AgentID}
}

// SignIn is one browser that an account is signed in with. Its token is never
// stored; Hash is SHA-256 of it.
type SignIn struct {
	Hash      []byte    `json:"-"`
	AccountID string    `json:"account_id"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}
