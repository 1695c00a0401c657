package floor_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher"
)

// TestNobodyIsStranded tells many floors random stories, in the words of the
// scripts. At no moment may anybody wait while an agent who could be asked is
// free; and once all agents are there, accept what they are offered and finish
// what they have, every conversation must come to an end.
//
// USHER_TEST_ROUNDS sets how many floors (400), USHER_TEST_SEED the first.
func TestNobodyIsStranded(t *testing.T) {
	t.Parallel()
	rounds, first := 400, 1
	if v, err := strconv.Atoi(os.Getenv("USHER_TEST_ROUNDS")); err == nil {
		rounds = v
	}
	if v, err := strconv.Atoi(os.Getenv("USHER_TEST_SEED")); err == nil {
		first = v
	}
	closed := 0
	for seed := first; seed < first+rounds; seed++ {
		s := &story{world: newWorld(t), r: rand.New(rand.NewPCG(uint64(seed), 2))}
		s.tell()
		s.finish()
		for _, c := range s.byID {
			if c.Status == usher.StatusClosed {
				closed++
				continue
			}
			s.faults = append(s.faults, fmt.Sprintf("%s of %s never ends: %s %s %s", c.ID, c.CustomerID, c.Status, c.AgentID, c.Routing.Reason))
		}
		if len(s.faults) > 0 {
			t.Errorf("floor %d:\n%s\n\n%s", seed, strings.Join(s.faults, "\n"), strings.Join(s.lines, "\n"))
		}
	}
	if closed < 2*rounds {
		t.Errorf("too tame: %d conversations on %d floors", closed, rounds)
	}
}

// story is a script in the making.
type story struct {
	*world
	r      *rand.Rand
	lines  []string // that were taken
	faults []string
}

func (s *story) one(of ...string) string { return of[s.r.IntN(len(of))] }

// say does a line, which the floor may refuse, and looks at what must hold.
func (s *story) say(line string) {
	if s.do(line) != nil {
		return
	}
	s.lines = append(s.lines, line)
	for _, f := range append(invariants(s.s.Floor()), s.s.Stranded(s.now)...) {
		s.faults = append(s.faults, line+": "+f)
	}
}

func (s *story) tell() {
	for _, line := range []string{
		"policy wrap_up_s 30", "policy reserve 1", "policy wait_for_dedicated 60", "policy relax 60", "policy cost web 2", "policy tag x",
		"policy pin li", "policy mode auto", "policy overflow * busy 20 invite web", "policy overflow wechat nobody_online 0 invite web",
		"policy overflow * too_long 60 queue care", "policy overflow * busy 0 bot",
	} {
		if s.r.IntN(4) == 0 {
			s.say(line)
		}
	}
	s.say("agent zhang refund:5 units 3")
	s.say("agent li tech:5 units 2" + s.one("", "", " on web"))
	for range 30 {
		customer, agent := s.one("c0", "c1", "c2", "c3"), s.one("zhang", "li")
		switch s.r.IntN(20) {
		case 0, 1, 2, 3:
			s.say("message " + customer + s.one(" refund", " tech", " refund=.45,tech=.40 unsure", " chitchat hello") +
				s.one("", " wechat", " email") + s.one("", "", " vip", " low_value") + s.one("", "", " faq a=.9", " faq none") +
				s.one("", "", " dedicated zhang", " human", " hint li", " choice faq_no"))
		case 4, 5:
			s.say("accept " + customer)
		case 6, 7:
			s.say("decline " + customer)
		case 8:
			s.say("close " + customer + s.one("", " abandoned"))
		case 9:
			s.say("transfer " + customer + " " + s.one("zhang", "li", "queue:care"))
		case 10, 11:
			s.say(s.one("away ", "online ", "lost ", "offline ", "break ") + agent)
		case 12:
			s.say(s.one("reply ", "photo ") + customer)
		case 13, 14, 15:
			s.say("wait " + s.one("5s", "31s", "61s", "125s", "10m"))
		case 16:
			s.say("redeem " + customer + " web")
		case 17:
			s.say("tier " + customer + " " + s.one("vip", "blacklist", "regular", "low_value"))
		case 18:
			if _, ok := s.closed[customer]; ok && s.convs[customer].Status == usher.StatusClosed {
				s.say("reopen " + customer)
			}
		case 19:
			s.say(s.one("restart", "left "+customer, "assign "+customer+" "+agent+" override"))
		}
	}
}

// finish has all agents there, who take what they are offered.
func (s *story) finish() {
	s.say("away li")
	s.say("online li")
	s.say("online zhang") // who may never have left
	told := len(s.lines)
	for range 720 { // four hours, in steps shorter than an offer
		f := s.s.Floor()
		if len(f.Conversations) == 0 {
			return
		}
		for _, o := range f.Offers {
			_ = s.step1(usher.Accept{OfferID: o.ID}) // it may be gone by now
		}
		for _, c := range f.Conversations {
			if c.Status == usher.StatusAssigned && s.now.Sub(*c.AssignedAt) >= time.Minute {
				_ = s.step1(usher.Close{ConversationID: c.ID})
			}
		}
		s.say("wait 20s")
		s.lines = s.lines[:told]
	}
}
