package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

func compile(t *testing.T, p usher.Policy) *policy.Compiled {
	t.Helper()
	c, faults := policy.Compile(usher.PolicyVersion{Version: 7, Document: p})
	if len(faults) > 0 {
		t.Fatalf("policy has faults: %v", faults)
	}
	return c
}

func TestDefaultPolicyCompiles(t *testing.T) {
	t.Parallel()
	c := compile(t, usher.DefaultPolicy())
	if diff := cmp.Diff(usher.DefaultPolicy().Tiers, c.Document().Tiers); diff != "" {
		t.Errorf("tiers changed (-want +got):\n%s", diff)
	}
	if c.Version() != 7 {
		t.Errorf("version %d, want 7", c.Version())
	}
}

func TestEmptyDocumentIsTheDefault(t *testing.T) {
	t.Parallel()
	p, faults := policy.Decode([]byte(`{}`))
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	if diff := cmp.Diff(policy.WithDefaults(usher.DefaultPolicy()), p); diff != "" {
		t.Errorf("(-default +decoded):\n%s", diff)
	}
}

func TestRequirement(t *testing.T) {
	t.Parallel()
	p := usher.DefaultPolicy()
	p.Skills = []usher.Skill{{Name: "Refunds", Aliases: []string{"退款"}}}
	p.Queues[0].Require = []usher.SkillLevel{{Name: "退款", Level: 4}}
	p.Queues[0].Relax = []usher.Relax{
		{AfterS: 30, Require: []usher.SkillLevel{{Name: "refunds", Level: 3}}},
		{AfterS: 90},
	}
	c := compile(t, p)
	q, ok := c.Queue("general")
	if !ok {
		t.Fatal("the queue is gone")
	}
	for _, tt := range []struct {
		waited time.Duration
		level  int
		step   int
		next   time.Duration
	}{
		{0, 4, 0, 30 * time.Second},
		{29*time.Second + 999*time.Millisecond, 4, 0, time.Millisecond},
		{30 * time.Second, 3, 1, 60 * time.Second},
		{90 * time.Second, 0, 2, 0},
		{time.Hour, 0, 2, 0},
	} {
		require, step, next := c.Requirement(q, tt.waited)
		level := 0
		if len(require) > 0 {
			level = require[0].Level
			if require[0].Name != "Refunds" {
				t.Errorf("after %s: skill %q is not canonical", tt.waited, require[0].Name)
			}
		}
		if level != tt.level || step != tt.step || next != tt.next {
			t.Errorf("after %s: level %d, step %d, next %s; want %d, %d, %s", tt.waited, level, step, next, tt.level, tt.step, tt.next)
		}
	}
}

func TestSkillsAndTiers(t *testing.T) {
	t.Parallel()
	p := usher.DefaultPolicy()
	p.Skills = []usher.Skill{{Name: "退款与退货", Aliases: []string{"Returns and refunds"}, Intents: []string{"return_refund"}}}
	c := compile(t, p)
	for in, want := range map[string]string{
		"退款与退货": "退款与退货", "退款與退貨": "退款与退货", "returns AND refunds": "退款与退货",
		"Ｄｅｌｉｖｅｒｙ": "delivery",
	} {
		if got := c.Skill(in); got != want {
			t.Errorf("Skill(%q) = %q, want %q", in, got, want)
		}
	}
	if got := c.Intents("Returns and Refunds"); !slices.Equal(got, []string{"return_refund"}) {
		t.Errorf("intents by alias: %v", got)
	}
	if got := c.Intents("delivery"); got != nil {
		t.Errorf("a skill without links has intents %v", got)
	}
	if got := c.Tier("gold"); got.Weight != 1 || got.Service != usher.ServiceNormal || c.HasTier("gold") {
		t.Errorf("an unknown tier is served as %+v", got)
	}
	if c.Cost(usher.KindEmail) != 1 || c.Cost("fax") != 1 {
		t.Error("work costs one unit unless the policy says otherwise")
	}
}
