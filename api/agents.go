package api

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"usher"
)

// agentView is an agent together with what the floor says of him.
type agentView struct {
	ID             string                `json:"id"`
	Name           string                `json:"name"`
	Profile        string                `json:"profile"`
	Skills         []usher.SkillLevel    `json:"skills"`
	SkillLinks     []usher.SkillLink     `json:"skill_links,omitempty"`
	Languages      []usher.LanguageLevel `json:"languages"`
	Teams          []string              `json:"teams"`
	Channels       []string              `json:"channels,omitempty"`
	Capacity       usher.Capacity        `json:"capacity"`
	Presence       usher.Presence        `json:"presence"`
	PresenceReason string                `json:"presence_reason,omitempty"`
	PresenceSince  *time.Time            `json:"presence_since,omitempty"`
	UsedUnits      int                   `json:"used_units"`
	ReservedUnits  int                   `json:"reserved_units"`
	Open           int                   `json:"open"`
	Attributes     map[string]any        `json:"attributes"`
	Version        int                   `json:"version"`
}

func showAgent(a usher.Agent, st usher.AgentState) agentView {
	a.Capacity.PerChannel = object(a.Capacity.PerChannel)
	v := agentView{
		ID: a.ID, Name: a.Name, Profile: a.Profile, Skills: list(a.Skills), SkillLinks: a.Links, Languages: list(a.Languages),
		Teams: list(a.Teams), Channels: a.Channels, Capacity: a.Capacity, Presence: or(st.Presence, usher.PresenceOffline),
		PresenceReason: st.PresenceReason, UsedUnits: st.UsedUnits + st.UsedInterruptible,
		ReservedUnits: st.ReservedUnits + st.ReservedInterruptible, Open: st.Open,
		Attributes: object(a.Attributes), Version: a.Version,
	}
	if !st.PresenceSince.IsZero() {
		v.PresenceSince = &st.PresenceSince
	}
	return v
}

// agentRequest is what a client owns of an agent. What the floor owns may stand
// in the body, so that an agent that was read can be sent back, and is ignored.
type agentRequest struct {
	ID         *string               `json:"id"`
	Name       *string               `json:"name"`
	Profile    *string               `json:"profile"`
	Skills     []usher.SkillLevel    `json:"skills"`
	Languages  []usher.LanguageLevel `json:"languages"`
	Teams      []string              `json:"teams"`
	Channels   []string              `json:"channels"`
	Capacity   *capacityRequest      `json:"capacity"`
	Attributes map[string]any        `json:"attributes"`

	Presence       any `json:"presence"`
	PresenceReason any `json:"presence_reason"`
	PresenceSince  any `json:"presence_since"`
	UsedUnits      any `json:"used_units"`
	ReservedUnits  any `json:"reserved_units"`
	Open           any `json:"open"`
	SkillLinks     any `json:"skill_links"`
	Version        any `json:"version"`
}

type capacityRequest struct {
	Units              *int           `json:"units"`
	InterruptibleUnits *int           `json:"interruptible_units"`
	PerChannel         map[string]int `json:"per_channel"`
}

const defaultUnits = 3

func (r *agentRequest) check(id string) error {
	var f faults
	if r.ID != nil && *r.ID != id {
		f.add("id", "mismatch", "the id in the body differs from the one in the path")
	}
	seen := map[string]bool{}
	for i, sk := range r.Skills {
		at := fmt.Sprintf("skills[%d]", i)
		if blank(sk.Name) {
			f.add(at+".name", "required", "a skill needs a name")
		}
		if name := strings.ToLower(strings.TrimSpace(sk.Name)); seen[name] {
			f.add(at+".name", "duplicate", "the skill is given twice")
		} else {
			seen[name] = true
		}
		checkLevel(sk.Level, at+".level", &f)
	}
	for i, l := range r.Languages {
		at := fmt.Sprintf("languages[%d]", i)
		checkTag(l.Tag, at+".tag", &f)
		checkLevel(l.Level, at+".level", &f)
	}
	for i, t := range r.Teams {
		if blank(t) {
			f.add(fmt.Sprintf("teams[%d]", i), "required", "a team needs a name")
		}
	}
	for i, ch := range r.Channels {
		if blank(ch) {
			f.add(fmt.Sprintf("channels[%d]", i), "required", "a channel needs an id")
		}
	}
	if k := r.Capacity; k != nil {
		checkUnits(k.Units, "capacity.units", &f)
		checkUnits(k.InterruptibleUnits, "capacity.interruptible_units", &f)
		for _, ch := range sortedKeys(k.PerChannel) {
			n := k.PerChannel[ch]
			checkUnits(&n, "capacity.per_channel."+ch, &f)
		}
	}
	return f.err()
}

func checkLevel(n int, path string, f *faults) {
	if n < 1 || n > 5 {
		f.add(path, "out_of_range", "a level lies between 1 and 5")
	}
}

func checkUnits(n *int, path string, f *faults) {
	if n != nil && (*n < 0 || *n > 1000) {
		f.add(path, "out_of_range", "units lie between 0 and 1000")
	}
}

func checkTag(tag, path string, f *faults) {
	if !isTag(tag) {
		f.add(path, "malformed", "a language is a BCP-47 tag such as zh or en-GB")
	}
}

// isTag checks the form of a BCP-47 tag: a language of two or three letters,
// then subtags of one to eight letters and digits.
func isTag(tag string) bool {
	for i, part := range strings.Split(strings.ReplaceAll(tag, "_", "-"), "-") {
		if i == 0 && (len(part) < 2 || len(part) > 3) || len(part) < 1 || len(part) > 8 {
			return false
		}
		for _, r := range part {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
			if !letter && (i == 0 || r < '0' || r > '9') {
				return false
			}
		}
	}
	return true
}

// onto merges the request into a stored agent. With replace, absent fields
// become empty; else they stay and attributes merge key by key, null removing.
func (r *agentRequest) onto(a usher.Agent, replace bool) usher.Agent {
	if replace {
		a = usher.Agent{ID: a.ID, Version: a.Version, Vector: a.Vector, Links: a.Links}
	}
	if r.Name != nil {
		a.Name = *r.Name
	}
	if r.Profile != nil {
		a.Profile = *r.Profile
	}
	if r.Skills != nil {
		a.Skills = r.Skills
	}
	if r.Languages != nil {
		a.Languages = r.Languages
	}
	if r.Teams != nil {
		a.Teams = r.Teams
	}
	if r.Channels != nil {
		a.Channels = r.Channels
	}
	a.Capacity = r.Capacity.onto(a.Capacity, replace)
	a.Attributes = mergeAttributes(a.Attributes, r.Attributes)
	a.Skills, a.Languages, a.Teams = list(a.Skills), list(a.Languages), list(a.Teams)
	return a
}

// onto merges capacities; fresh ones begin with the defaults.
func (k *capacityRequest) onto(old usher.Capacity, fresh bool) usher.Capacity {
	if fresh {
		old = usher.Capacity{Units: defaultUnits}
	}
	if k != nil && k.Units != nil {
		old.Units = *k.Units
	}
	if fresh {
		old.InterruptibleUnits = old.Units
	}
	if k != nil && k.InterruptibleUnits != nil {
		old.InterruptibleUnits = *k.InterruptibleUnits
	}
	if k != nil && k.PerChannel != nil {
		old.PerChannel = k.PerChannel
	}
	old.PerChannel = object(old.PerChannel)
	return old
}

func mergeAttributes(old, change map[string]any) map[string]any {
	out := maps.Clone(object(old))
	for k, v := range change {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

func (s *Server) getAgent(ctx context.Context, c *call) (agentView, error) {
	a, st, err := s.cfg.Store.AgentByID(ctx, c.param("id"))
	if err != nil {
		return agentView{}, err
	}
	c.out.Set("ETag", tag(a.Version))
	return showAgent(a, st), nil
}

func (s *Server) listAgents(ctx context.Context, c *call) (page[agentView], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[agentView]{}, err
	}
	as, sts, next, err := s.cfg.Store.Agents(ctx, p)
	if err != nil {
		return page[agentView]{}, err
	}
	views := make([]agentView, len(as))
	for i := range as {
		views[i] = showAgent(as[i], sts[i])
	}
	return paged(views, next), nil
}

func (s *Server) putAgent(ctx context.Context, c *call, req agentRequest) (agentView, error) {
	return s.changeAgent(ctx, c, req, true)
}

func (s *Server) patchAgent(ctx context.Context, c *call, req agentRequest) (agentView, error) {
	return s.changeAgent(ctx, c, req, false)
}

func (s *Server) changeAgent(ctx context.Context, c *call, req agentRequest, replace bool) (agentView, error) {
	id := c.param("id")
	if err := req.check(id); err != nil {
		return agentView{}, err
	}
	created, err := s.storeAgent(ctx, c, id, req, replace, c.match(), func() string { return s.cfg.NewID("in") })
	if err != nil {
		return agentView{}, err
	}
	if created {
		c.status = 201
	}
	return s.getAgent(ctx, c)
}

// storeAgent merges and stores one agent. A concurrent change is merged again,
// unless the caller named the version he means.
func (s *Server) storeAgent(ctx context.Context, c *call, id string, req agentRequest, replace bool, m Match, inputID func() string) (created bool, err error) {
	for range 5 {
		old, _, readErr := s.cfg.Store.AgentByID(ctx, id)
		created = usher.CodeOf(readErr) == usher.NotFound
		switch {
		case readErr != nil && !created:
			return false, readErr
		case created && !replace:
			return false, readErr
		case created:
			old = usher.Agent{ID: id}
		}
		if !m.Version(old.Version) {
			return false, stale("the agent")
		}
		a := req.onto(old, replace)
		if s.cfg.Catalog != nil {
			a = s.cfg.Catalog.Prepare(ctx, a)
		}
		_, err = s.doAs(ctx, c, inputID(), usher.AgentPut{Agent: a})
		if usher.CodeOf(err) == usher.Stale && (!m.Given || m.Any) {
			continue
		}
		if err != nil {
			return false, err
		}
		action := "agent.update"
		if created {
			action = "agent.create"
		}
		s.audit(ctx, c, action, id, auditAgent(old), auditAgent(a))
		return created, nil
	}
	return false, err
}

// auditAgent leaves vectors out of the record.
func auditAgent(a usher.Agent) any {
	if a.Version == 0 && a.Name == "" && a.Skills == nil {
		return nil
	}
	a.Vector, a.Links = nil, nil
	return a
}

func (s *Server) deleteAgent(ctx context.Context, c *call) (nothing, error) {
	a, _, err := s.cfg.Store.AgentByID(ctx, c.param("id"))
	if err != nil {
		return nothing{}, err
	}
	if !c.match().Version(a.Version) {
		return nothing{}, stale("the agent")
	}
	if _, err := s.do(ctx, c, usher.AgentRemove{AgentID: a.ID}); err != nil {
		return nothing{}, err
	}
	s.audit(ctx, c, "agent.delete", a.ID, auditAgent(a), nil)
	return nothing{}, nil
}

type presenceRequest struct {
	Presence usher.Presence `json:"presence"`
}

func (s *Server) setPresence(ctx context.Context, c *call, req presenceRequest) (agentView, error) {
	id := c.param("id")
	if !req.Presence.Valid() {
		return agentView{}, usher.Errorf(usher.InvalidArgument, "presence is one of online, busy, away, break, offline").At("presence")
	}
	if err := c.mayActFor(id); err != nil {
		return agentView{}, err
	}
	if _, err := s.do(ctx, c, usher.PresenceSet{AgentID: id, Presence: req.Presence}); err != nil {
		return agentView{}, err
	}
	return s.getAgent(ctx, c)
}

type beatAnswer struct {
	AgentID    string    `json:"agent_id"`
	ServerTime time.Time `json:"server_time"`
}

func (s *Server) heartbeat(ctx context.Context, c *call, _ none) (beatAnswer, error) {
	id := c.param("id")
	if err := c.mayActFor(id); err != nil {
		return beatAnswer{}, err
	}
	if err := s.cfg.Floor.Beat(ctx, id); err != nil {
		return beatAnswer{}, err
	}
	return beatAnswer{AgentID: id, ServerTime: s.cfg.Now().UTC()}, nil
}

type beatsRequest struct {
	AgentIDs []string `json:"agent_ids"`
}

type beatsAnswer struct {
	ServerTime time.Time    `json:"server_time"`
	Results    []beatResult `json:"results"`
}

type beatResult struct {
	AgentID string      `json:"agent_id"`
	OK      bool        `json:"ok"`
	Error   *rowFailure `json:"error,omitempty"`
}

type rowFailure struct {
	Code    usher.Code     `json:"code"`
	Message string         `json:"message"`
	Path    string         `json:"path,omitempty"`
	Details []usher.Detail `json:"details,omitempty"`
}

func failed(err error) *rowFailure {
	_, f, _ := describe(err, "")
	return &rowFailure{Code: f.Error.Code, Message: f.Error.Message, Path: f.Error.Path, Details: f.Error.Details}
}

// heartbeats takes the beats of many agents from one back end.
func (s *Server) heartbeats(ctx context.Context, c *call, req beatsRequest) (beatsAnswer, error) {
	if len(req.AgentIDs) == 0 || len(req.AgentIDs) > 1000 {
		return beatsAnswer{}, usher.Errorf(usher.InvalidArgument, "agent_ids takes 1 to 1000 ids").At("agent_ids")
	}
	out := beatsAnswer{ServerTime: s.cfg.Now().UTC(), Results: make([]beatResult, len(req.AgentIDs))}
	for i, id := range req.AgentIDs {
		out.Results[i] = beatResult{AgentID: id, OK: true}
		err := c.mayActFor(id)
		if err == nil {
			err = s.cfg.Floor.Beat(ctx, id)
		}
		if err != nil {
			out.Results[i].OK, out.Results[i].Error = false, failed(err)
		}
	}
	return out, nil
}

// loadView is what an agent holds now.
type loadView struct {
	AgentID               string             `json:"agent_id"`
	Presence              usher.Presence     `json:"presence"`
	PresenceReason        string             `json:"presence_reason,omitempty"`
	PresenceSince         time.Time          `json:"presence_since"`
	Units                 int                `json:"units"`
	InterruptibleUnits    int                `json:"interruptible_units"`
	UsedUnits             int                `json:"used_units"`
	ReservedUnits         int                `json:"reserved_units"`
	UsedInterruptible     int                `json:"used_interruptible"`
	ReservedInterruptible int                `json:"reserved_interruptible"`
	Open                  int                `json:"open"`
	Offers                []usher.Offer      `json:"offers"`
	Conversations         []conversationView `json:"conversations"`
}

func showLoad(id string, l usher.AgentLoad) loadView {
	v := loadView{
		AgentID: id, Presence: or(l.State.Presence, usher.PresenceOffline), PresenceReason: l.State.PresenceReason,
		PresenceSince: l.State.PresenceSince, Units: l.Units, InterruptibleUnits: l.Interruptible,
		UsedUnits: l.State.UsedUnits, ReservedUnits: l.State.ReservedUnits, UsedInterruptible: l.State.UsedInterruptible,
		ReservedInterruptible: l.State.ReservedInterruptible, Open: l.State.Open,
		Offers: list(l.Offers), Conversations: make([]conversationView, len(l.Conversations)),
	}
	for i, conv := range l.Conversations {
		v.Conversations[i] = showConversation(conv)
	}
	return v
}

func (s *Server) agentLoad(ctx context.Context, c *call) (loadView, error) {
	id := c.param("id")
	if own := c.onlyAgent(); own != "" && own != id {
		return loadView{}, usher.Errorf(usher.PermissionDenied, "this key sees only its own agent's load")
	}
	l, err := s.cfg.Floor.Load(ctx, id)
	if err != nil {
		return loadView{}, err
	}
	return showLoad(id, l), nil
}
