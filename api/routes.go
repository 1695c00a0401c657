package api

import (
	"context"
	_ "embed" // the document
	"net/http"

	"usher"
)

// route is one row of the surface.
type route struct {
	method string
	path   string
	scopes []string // any of them; nil = no key needed, empty = any key
	status int      // of success; 200 unless set
	once   bool     // honours Idempotency-Key
	token  bool     // takes an event token in place of a key
	query  []string // the parameters it knows; others are refused
	remote bool     // called by a platform: any parameters, and little time
	visit  visiting // how visitors come in; then scopes are not asked for
	do     endpoint
	stream func(ctx context.Context, c *call, w http.ResponseWriter) error // instead of do
}

// routes is the whole surface. Gin patterns; openapi.yaml names the same paths.
func (s *Server) routes() []route {
	const (
		messages   = usher.ScopeMessages
		agent      = usher.ScopeAgent
		supervisor = usher.ScopeSupervisor
		rules      = usher.ScopePolicy
		reports    = usher.ScopeReports
		admin      = usher.ScopeAdmin
	)
	var (
		ofMessages = []string{messages}
		readers    = []string{messages, agent, supervisor, reports}
		desk       = []string{agent, supervisor}
		service    = []string{messages, supervisor}
		anyActor   = []string{messages, agent, supervisor}
		manual     = []string{supervisor}
		policies   = []string{rules}
		seePolicy  = []string{rules, supervisor, reports}
		admins     = []string{admin}
		seeReports = []string{reports, supervisor}
		paging     = []string{"limit", "cursor"}
		withPaging = func(names ...string) []string { return append(names, paging...) }
	)
	return []route{
		{method: "GET", path: "/healthz", do: read(s.healthz)},
		{method: "GET", path: "/readyz", do: read(s.readyz)},
		{method: "GET", path: "/v1/openapi.yaml", do: read(s.openapi)},

		{method: "POST", path: "/v1/messages", scopes: ofMessages, status: 201, once: true, do: handle(s.receive)},
		{method: "POST", path: "/v1/understand", scopes: []string{messages, usher.ScopeModels, supervisor, rules}, do: handle(s.understand)},
		{method: "POST", path: "/v1/match", scopes: []string{messages, supervisor, rules}, do: handle(s.matchDry)},

		{
			method: "GET", path: "/v1/conversations", scopes: readers, do: read(s.listConversations),
			query: withPaging("status", "queue", "channel", "agent_id", "customer_id", "tier", "intent", "from", "to"),
		},
		{method: "GET", path: "/v1/conversations/:id", scopes: readers, do: read(s.getConversation)},
		{method: "PATCH", path: "/v1/conversations/:id", scopes: desk, do: handle(s.amend)},
		{method: "GET", path: "/v1/conversations/:id/messages", scopes: readers, query: paging, do: read(s.listMessages)},
		{method: "POST", path: "/v1/conversations/:id/messages", scopes: anyActor, status: 201, once: true, do: handle(s.reply)},
		{method: "GET", path: "/v1/conversations/:id/messages/:message/original", scopes: anyActor, do: read(s.original)},
		{method: "GET", path: "/v1/conversations/:id/decisions", scopes: readers, query: paging, do: read(s.listDecisions)},
		{method: "GET", path: "/v1/conversations/:id/events", scopes: readers, query: paging, do: read(s.conversationEvents)},
		{method: "POST", path: "/v1/conversations/:id/assign", scopes: manual, once: true, do: handle(s.assign)},
		{method: "POST", path: "/v1/conversations/:id/transfer", scopes: desk, once: true, do: handle(s.transfer)},
		{method: "POST", path: "/v1/conversations/:id/close", scopes: anyActor, do: handle(s.close)},
		{method: "POST", path: "/v1/conversations/:id/reopen", scopes: anyActor, once: true, do: handle(s.reopen)},
		{method: "POST", path: "/v1/conversations/:id/priority", scopes: manual, do: handle(s.prioritise)},
		{method: "POST", path: "/v1/conversations/:id/left", scopes: service, do: handle(s.left)},
		{method: "POST", path: "/v1/conversations/:id/complete", scopes: desk, do: handle(s.complete)},
		{method: "POST", path: "/v1/conversations/:id/outcome", scopes: anyActor, once: true, do: handle(s.outcome)},
		{method: "POST", path: "/v1/conversations/:id/rating", scopes: service, once: true, do: handle(s.rate)},
		{method: "GET", path: "/v1/decisions/:id", scopes: readers, do: read(s.getDecision)},

		{method: "GET", path: "/v1/offers", scopes: readers, query: withPaging("agent_id", "conversation_id", "state"), do: read(s.listOffers)},
		{method: "POST", path: "/v1/offers/:id/accept", scopes: desk, do: handle(s.accept)},
		{method: "POST", path: "/v1/offers/:id/decline", scopes: desk, do: handle(s.decline)},

		{method: "GET", path: "/v1/agents", scopes: readers, query: paging, do: read(s.listAgents)},
		{method: "POST", path: "/v1/agents/import", scopes: manual, once: true, do: handle(s.importAgents)},
		{method: "POST", path: "/v1/agents/heartbeats", scopes: desk, do: handle(s.heartbeats)},
		{method: "GET", path: "/v1/agents/:id", scopes: readers, do: read(s.getAgent)},
		{method: "PUT", path: "/v1/agents/:id", scopes: manual, do: handle(s.putAgent)},
		{method: "PATCH", path: "/v1/agents/:id", scopes: manual, do: handle(s.patchAgent)},
		{method: "DELETE", path: "/v1/agents/:id", scopes: manual, do: read(s.deleteAgent)},
		{method: "PUT", path: "/v1/agents/:id/presence", scopes: desk, do: handle(s.setPresence)},
		{method: "POST", path: "/v1/agents/:id/heartbeat", scopes: desk, do: handle(s.heartbeat)},
		{method: "GET", path: "/v1/agents/:id/load", scopes: readers, do: read(s.agentLoad)},

		{method: "GET", path: "/v1/customers", scopes: readers, query: withPaging("identity"), do: read(s.listCustomers)},
		{method: "GET", path: "/v1/customers/:id", scopes: readers, do: read(s.getCustomer)},
		{method: "PUT", path: "/v1/customers/:id", scopes: service, do: handle(s.putCustomer)},
		{method: "PATCH", path: "/v1/customers/:id", scopes: service, do: handle(s.patchCustomer)},
		{method: "PUT", path: "/v1/customers/:id/tier", scopes: manual, do: handle(s.setTier)},
		{method: "GET", path: "/v1/customers/:id/timeline", scopes: readers, query: paging, do: read(s.timeline)},

		{method: "GET", path: "/v1/policy", scopes: seePolicy, do: read(s.getPolicy)},
		{method: "GET", path: "/v1/policy/draft", scopes: seePolicy, do: read(s.getDraft)},
		{method: "PUT", path: "/v1/policy/draft", scopes: policies, do: handle(s.putDraft)},
		{method: "DELETE", path: "/v1/policy/draft", scopes: policies, do: read(s.deleteDraft)},
		{method: "POST", path: "/v1/policy/validate", scopes: seePolicy, do: handle(s.validatePolicy)},
		{method: "POST", path: "/v1/policy/publish", scopes: policies, once: true, do: handle(s.publish)},
		{method: "GET", path: "/v1/policy/versions", scopes: seePolicy, query: paging, do: read(s.policyVersions)},
		{method: "GET", path: "/v1/policy/versions/:n", scopes: seePolicy, do: read(s.policyVersion)},
		{method: "POST", path: "/v1/policy/versions/:n/restore", scopes: policies, once: true, do: handle(s.restore)},
		{method: "GET", path: "/v1/policy/diff", scopes: seePolicy, query: []string{"from", "to"}, do: read(s.policyDiff)},
		{method: "POST", path: "/v1/policy/try", scopes: seePolicy, do: handle(s.tryPolicy)},
		{method: "POST", path: "/v1/policy/keywords", scopes: seePolicy, do: handle(s.tryKeywords)},
		{method: "POST", path: "/v1/policy/replay", scopes: policies, do: handle(s.replayPolicy)},
		{method: "GET", path: "/v1/policy/hits", scopes: seePolicy, query: []string{"days"}, do: read(s.policyHits)},

		{method: "GET", path: "/v1/queues", scopes: readers, do: read(s.listQueues)},
		{method: "GET", path: "/v1/queues/:id", scopes: readers, do: read(s.getQueue)},
		{method: "GET", path: "/v1/live", scopes: []string{messages, supervisor, reports}, do: read(s.getLive)},

		{
			method: "GET", path: "/v1/events", scopes: readers, token: true, stream: s.events,
			query: []string{"conversation_id", "agent_id", "customer_id", "types", "token", "last_event_id"},
		},
		{method: "POST", path: "/v1/events/token", scopes: readers, status: 201, do: handle(s.eventToken)},

		{method: "GET", path: "/v1/channels", scopes: readers, do: read(s.listChannels)},
		{method: "GET", path: "/v1/channels/:id", scopes: readers, do: read(s.getChannel)},
		{method: "PUT", path: "/v1/channels/:id", scopes: admins, do: handle(s.putChannel)},

		{method: "GET", path: "/v1/keys", scopes: admins, do: read(s.listKeys)},
		{method: "POST", path: "/v1/keys", scopes: admins, status: 201, do: handle(s.createKey)},
		{method: "GET", path: "/v1/keys/:id", scopes: admins, do: read(s.getKey)},
		{method: "DELETE", path: "/v1/keys/:id", scopes: admins, do: read(s.deleteKey)},
		{method: "POST", path: "/v1/keys/:id/rotate", scopes: admins, do: handle(s.rotateKey)},
		{method: "GET", path: "/v1/audit", scopes: admins, query: paging, do: read(s.listAudit)},

		// sessions and accounts
		{method: "POST", path: "/v1/session", do: handle(s.signIn)},
		{method: "GET", path: "/v1/session", scopes: []string{}, do: read(s.getSession)},
		{method: "DELETE", path: "/v1/session", do: read(s.signOut)},
		{method: "POST", path: "/v1/session/password", scopes: []string{}, do: handle(s.changePassword)},
		{method: "GET", path: "/v1/accounts", scopes: admins, do: read(s.listAccounts)},
		{method: "POST", path: "/v1/accounts", scopes: admins, status: 201, do: handle(s.createAccount)},
		{method: "GET", path: "/v1/accounts/:id", scopes: admins, do: read(s.getAccount)},
		{method: "PATCH", path: "/v1/accounts/:id", scopes: admins, do: handle(s.patchAccount)},
		{method: "DELETE", path: "/v1/accounts/:id", scopes: admins, do: read(s.deleteAccount)},

		// web
		{method: "POST", path: "/v1/web/session", visit: visitBegin, do: handle(s.webSession)},
		{method: "POST", path: "/v1/web/messages", visit: visitSession, status: 201, do: handle(s.webSend)},
		{method: "GET", path: "/v1/web/messages", visit: visitSession, query: []string{"after"}, do: read(s.webMessages)},
		{method: "GET", path: "/v1/web/events", visit: visitSession, query: []string{"last_event_id"}, stream: s.webEvents},
		{method: "POST", path: "/v1/web/left", visit: visitSession, do: handle(s.webLeft)},
		{method: "POST", path: "/v1/web/rating", visit: visitSession, do: handle(s.webRate)},
		{method: "POST", path: "/v1/web/logout", visit: visitSession, do: handle(s.webLogout)},
		{method: "GET", path: "/chat/:channel", query: []string{"lang"}, do: read(s.chatPage)},
		{method: "GET", path: "/widget.js", do: s.widgetAsset("/widget.js")},
		{method: "GET", path: "/chat.js", do: s.widgetAsset("/chat.js")},
		{method: "GET", path: "/chat.css", do: s.widgetAsset("/chat.css")},

		// reports
		{method: "GET", path: "/v1/reports", scopes: seeReports, do: read(s.listReports)},
		{method: "GET", path: "/v1/reports/:name", scopes: seeReports, query: reportFilters("interval", "group_by", "compare"), do: read(s.getReport)},
		{
			method: "GET", path: "/v1/reports/:name/conversations", scopes: seeReports, do: read(s.reportRows),
			query: withPaging(reportFilters("metric", "part", "group_by", "group")...),
		},

		// people
		{method: "POST", path: "/v1/customers/import", scopes: manual, once: true, query: []string{"dry_run"}, do: handle(s.importCustomers)},
		{method: "DELETE", path: "/v1/customers/:id/tier", scopes: manual, do: read(s.clearTier)},
		{method: "GET", path: "/v1/customers/:id/links", scopes: readers, do: read(s.listLinks)},
		{method: "POST", path: "/v1/customers/:id/merge", scopes: manual, do: handle(s.mergeCustomer)},
		{method: "POST", path: "/v1/customers/:id/unmerge", scopes: manual, do: handle(s.unmergeCustomer)},
		{method: "GET", path: "/v1/customers/:id/suggestions", scopes: readers, query: []string{"state"}, do: read(s.listSuggestions)},
		{method: "POST", path: "/v1/customers/:id/suggestions/:suggestion", scopes: desk, do: handle(s.decideSuggestion)},
		{method: "GET", path: "/v1/tiers/proposals", scopes: manual, query: paging, do: read(s.listProposals)},
		{method: "GET", path: "/v1/tiers/:tier/customers", scopes: []string{supervisor, reports}, query: paging, do: read(s.listTier)},
		{method: "POST", path: "/v1/tiers/:tier/customers", scopes: manual, once: true, do: handle(s.enterTier)},

		// platforms
		{method: "GET", path: "/channels/:id", remote: true, do: read(s.callback)},
		{method: "POST", path: "/channels/:id", remote: true, do: read(s.callback)},

		// faq
		{method: "GET", path: "/v1/faq", scopes: []string{rules, supervisor, messages, agent}, query: paging, do: read(s.listFAQ)},
		{method: "POST", path: "/v1/faq/import", scopes: policies, once: true, query: []string{"dry_run", "language"}, do: handle(s.importFAQ)},
		{method: "POST", path: "/v1/faq/search", scopes: []string{rules, supervisor, messages, agent}, do: handle(s.searchFAQ)},
		{method: "GET", path: "/v1/faq/:id", scopes: []string{rules, supervisor, messages, agent}, do: read(s.getFAQ)},
		{method: "PUT", path: "/v1/faq/:id", scopes: policies, do: handle(s.putFAQ)},
		{method: "DELETE", path: "/v1/faq/:id", scopes: policies, do: read(s.deleteFAQ)},
	}
}

// table is the surface as it is served: without a console, its place says where
// the document is.
func (s *Server) table() []route {
	routes := s.routes()
	if s.cfg.Console == nil {
		routes = append(routes, route{method: "GET", path: "/", do: read(s.root)})
	}
	return routes
}

//go:embed openapi.yaml
var openapiYAML []byte

// OpenAPI returns the document that describes this package's routes.
func OpenAPI() []byte { return openapiYAML }

func (s *Server) openapi(_ context.Context, c *call) (document, error) {
	c.out.Set("Cache-Control", "no-cache")
	return document{Type: "application/yaml; charset=utf-8", Body: openapiYAML}, nil
}

type statusAnswer struct {
	Status  string `json:"status"`
	Version string `json:"version,omitempty"`
}

// healthz says that the process answers.
func (s *Server) healthz(context.Context, *call) (statusAnswer, error) {
	return statusAnswer{Status: "ok", Version: s.cfg.Version}, nil
}

// readyz says whether requests are to be sent here.
func (s *Server) readyz(context.Context, *call) (statusAnswer, error) {
	if s.stopping.Load() {
		return statusAnswer{}, usher.Errorf(usher.Unavailable, "stopping")
	}
	if err := s.cfg.Ready(); err != nil {
		return statusAnswer{}, usher.Errorf(usher.Unavailable, "not ready").Because(err)
	}
	return statusAnswer{Status: "ready", Version: s.cfg.Version}, nil
}

type rootAnswer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	OpenAPI string `json:"openapi"`
}

// root points a curious reader to the document.
func (s *Server) root(context.Context, *call) (rootAnswer, error) {
	return rootAnswer{Name: "usher", Version: s.cfg.Version, OpenAPI: "/v1/openapi.yaml"}, nil
}
