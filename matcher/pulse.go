package matcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"usher"
)

// pulse knows who beats. It lives in memory: only the beginning of the duty to
// beat and the lapse are inputs.
type pulse struct {
	nudge chan struct{} // the loop should look

	mu     sync.Mutex
	agents map[string]*agentPulse
}

type agentPulse struct {
	last    time.Time // of the clock that the loop reads
	streams int       // open event streams: while there is one, the agent is heard
	heard   bool      // since the process started
	// As committed:
	known   bool
	present bool // not offline
	duty    bool // silence means lost
}

func (p *pulse) of(id string) *agentPulse {
	a := p.agents[id]
	if a == nil {
		a = &agentPulse{}
		p.agents[id] = a
	}
	return a
}

func (p *pulse) look() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// Beat is an agent's heartbeat. The first one since he came online begins the
// duty to beat: silence for the grace then means that he is lost.
func (d *Dispatcher) Beat(ctx context.Context, agentID string) error {
	now := d.cfg.Now()
	d.pulse.mu.Lock()
	a, ok := d.pulse.agents[agentID]
	begin := ok && a.known && a.present && !a.duty
	if ok && a.known {
		a.last, a.heard = now, true
	}
	known := ok && a.known
	d.pulse.mu.Unlock()
	if !known {
		if err := d.open(); err != nil {
			return err
		}
		return usher.Errorf(usher.NotFound, "there is no agent %q", agentID)
	}
	if !begin {
		return nil
	}
	_, err := d.Do(ctx, usher.Input{
		ID: fmt.Sprintf("beat_%s_%d", agentID, now.UnixNano()), By: usher.System(),
		Body: usher.PresenceSet{AgentID: agentID, Beats: true},
	})
	return err
}

// Watch tells that an event stream of the agent is open, which counts as a
// heartbeat until release is called.
func (d *Dispatcher) Watch(agentID string) (release func()) {
	d.pulse.mu.Lock()
	a := d.pulse.of(agentID)
	a.streams++
	a.last, a.heard = d.cfg.Now(), true
	d.pulse.mu.Unlock()
	d.pulse.look()
	var once sync.Once
	return func() {
		once.Do(func() {
			d.pulse.mu.Lock()
			a.streams--
			a.last = d.cfg.Now()
			if a.streams == 0 && !a.known {
				delete(d.pulse.agents, agentID)
			}
			d.pulse.mu.Unlock()
			d.pulse.look()
		})
	}
}

// adopt replaces what is known of agents by a loaded floor. Everybody who has the
// duty gets one full grace, unless he was heard in this process.
func (p *pulse) adopt(f usher.Floor, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.agents {
		a.known, a.present, a.duty = false, false, false
	}
	for _, s := range f.States {
		p.state(s, now)
	}
}

// committed follows the states of agents.
func (p *pulse) committed(cs []usher.Change, now time.Time) {
	changed := false
	p.mu.Lock()
	for i := range cs {
		for _, s := range cs[i].States {
			p.state(s, now)
			changed = true
		}
		for _, id := range cs[i].AgentsRemoved {
			if a := p.of(id); a.streams > 0 {
				a.known, a.present, a.duty = false, false, false
			} else {
				delete(p.agents, id)
			}
		}
	}
	p.mu.Unlock()
	if changed {
		p.look()
	}
}

func (p *pulse) state(s usher.AgentState, now time.Time) {
	a := p.of(s.AgentID)
	began := s.Beats && !a.duty
	a.known, a.present, a.duty = true, s.Presence != usher.PresenceOffline, s.Beats
	if began && !a.heard {
		a.last = now
	}
}

// due returns the inputs that silence and streams call for at now, and when to
// look again (zero = when nudged).
func (p *pulse) due(now time.Time, grace time.Duration) (bodies []usher.Body, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, a := range p.agents {
		switch {
		case !a.known:
		case a.streams > 0:
			if a.present && !a.duty {
				bodies = append(bodies, usher.PresenceSet{AgentID: id, Beats: true})
			}
		case a.duty:
			if lapse := a.last.Add(grace); !lapse.After(now) {
				bodies = append(bodies, usher.PresenceLapsed{AgentID: id})
			} else if next.IsZero() || lapse.Before(next) {
				next = lapse
			}
		}
	}
	return bodies, next
}
