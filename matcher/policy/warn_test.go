package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

// staff is who and what the warnings below are held against.
func staff() policy.Known {
	return policy.Known{
		Agents: []usher.Agent{
			{ID: "anna", Teams: []string{"support"}, Skills: []usher.SkillLevel{{Name: "Refunds", Level: 4}}, Capacity: usher.Capacity{Units: 3}},
			{ID: "boris", Skills: []usher.SkillLevel{{Name: "billing", Level: 5}}, Capacity: usher.Capacity{Units: 2}},
		},
		Channels: []usher.Channel{
			{ID: "web", Kind: usher.KindWeb},
			{ID: "shop-wechat", Kind: usher.KindWeChat},
			{ID: "app", Kind: usher.KindApp},
			{ID: "shop", Kind: usher.KindWeb, Settings: map[string]string{"page": "off"}},
		},
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	const (
		onApp     = `{"field":"channel.kind","op":"eq","value":"app"}`
		onAppMail = `{"field":"channel.kind","op":"in","value":["app","email"]}`
		vip       = `{"field":"customer.tier","op":"eq","value":"vip"}`
		toBilling = `{"queue":"billing"}`
	)
	rules := func(whenThen ...string) string {
		var out []string
		for i := 0; i < len(whenThen); i += 2 {
			when := ""
			if whenThen[i] != "" {
				when = `"when":` + whenThen[i] + `,`
			}
			out = append(out, fmt.Sprintf(`{"id":"r%d",%s"then":%s}`, i/2, when, whenThen[i+1]))
		}
		return `"rules":[` + strings.Join(out, ",") + `]`
	}
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing to say", rules(onApp, toBilling, vip, `{"queue":"general"}`), nil},
		{"the same condition twice", rules(onApp, toBilling, onApp, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"a wider one before", rules(onAppMail, toBilling, onApp, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"a narrower one before", rules(onApp, toBilling, onAppMail, `{"queue":"general"}`), nil},
		{"everyone before", rules(``, toBilling, vip, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"one of several parts before", rules(vip, toBilling, `{"all":[`+onApp+`,`+vip+`]}`, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"either way before", rules(`{"any":[`+onApp+`,`+vip+`]}`, toBilling, vip, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"each way before", rules(vip, toBilling, `{"any":[`+vip+`,`+onApp+`]}`, `{"queue":"general"}`), nil},
		{"it still adds a tag", rules(onApp, toBilling, onApp, `{"queue":"general","tags":["x"]}`), nil},
		{"it still adds skills", rules(``, `{"require":[{"name":"refunds","level":2}]}`, ``, `{"require":[{"name":"Refunds","level":3}]}`), nil},
		{"the tag is there already", rules(``, `{"tags":["x","y"]}`, vip, `{"tags":["x"]}`), []string{"rules[1] shadowed"}},
		{"a smaller head start", rules(``, `{"head_start_s":60}`, vip, `{"head_start_s":30}`), []string{"rules[1] shadowed"}},
		{"two rules together", rules(``, toBilling, ``, `{"tags":["x"]}`, vip, `{"queue":"general","tags":["x"]}`), []string{"rules[2] shadowed"}},
		{"a rule that is off shadows nothing", `"rules":[{"id":"a","enabled":false,"then":{"queue":"billing"}},{"id":"b","then":{"queue":"billing"}}]`, nil},
		{"more than a bound", rules(
			`{"field":"customer.attributes.spend_12m","op":"at_least","value":1000}`, toBilling,
			`{"field":"customer.attributes.spend_12m","op":"at_least","value":5000}`, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"known before equal", rules(
			`{"field":"history.last_rating","op":"known"}`, toBilling, `{"field":"history.last_rating","op":"eq","value":5}`, `{"queue":"general"}`), []string{"rules[1] shadowed"}},
		{"two channels at once", rules(`{"all":[`+onApp+`,{"field":"channel.kind","op":"eq","value":"web"}]}`, toBilling), []string{"rules[0].when never_holds"}},
		{"open and closed", `"calendars":[{"name":"day","days":{"mon":[{"from":"09:00","to":"18:00"}]}}],` + rules(
			`{"all":[{"field":"hours.day","op":"eq","value":true},{"field":"hours.day","op":"eq","value":"closed"}]}`, toBilling), []string{"rules[0].when never_holds"}},
		{"open and true are the same", `"calendars":[{"name":"day","days":{"mon":[{"from":"09:00","to":"18:00"}]}}],` + rules(
			`{"all":[{"field":"hours.day","op":"eq","value":true},{"field":"hours.day","op":"eq","value":"open"}]}`, toBilling), nil},
		{"two languages may be one", rules(
			`{"all":[{"field":"message.language","op":"eq","value":"zh"},{"field":"message.language","op":"eq","value":"zh-TW"}]}`, toBilling), nil},
		{"people who are not there", rules(
			`{"field":"channel.id","op":"in","value":["web","shop-wechta"]}`, `{"agent":"ana","team":"suppport","require":[{"name":"refund","level":1},{"name":"billing","level":1}]}`), []string{
			"rules[0].when.value[1] unknown shop-wechat", "rules[0].then.agent unknown anna", "rules[0].then.team unknown support",
			"rules[0].then.require[0].name nobody Refunds",
		}},
		{"nobody is that good, nobody has both", `"queues":[{"id":"general","require":[{"name":"refunds","level":5}]},
			{"id":"billing","require":[{"name":"refunds","level":1},{"name":"billing","level":1}],"relax":[{"after_s":60,"require":[{"name":"billing","level":1}]}]}]`, []string{
			"queues[0].require[0].level nobody 4", "queues[1].require nobody",
		}},
		{"a rule against its queue", `"queues":[{"id":"general"},{"id":"billing","require":[{"name":"billing","level":2}]}],` +
			rules(``, `{"queue":"billing","require":[{"name":"refunds","level":1}]}`), []string{"rules[0].then.require nobody"}},
		{"steps", `"queues":[{"id":"general","require":[{"name":"Refunds","level":3}],"relax":[{"after_s":10,"require":[{"name":"refunds","level":3}]},
			{"after_s":20,"require":[{"name":"refunds","level":4}]},{"after_s":30}]}]`, []string{
			"queues[0].relax[0] changes_nothing", "queues[0].relax[1] asks_more",
		}},
		{"phrases", `"keyword_lists":[{"name":"k","phrases":["退款.*","\\b投诉\\b","(人工|真人)","Refund","ｒｅｆｕｎｄ","退钱、退货","不想投诉了","C++","100%","wi-fi?"],"except":["不想投诉"]}],` +
			rules(`{"field":"message.text","op":"list_any","value":"k"}`, toBilling), []string{
			"keyword_lists[0].phrases[0] looks_like_regexp", "keyword_lists[0].phrases[1] looks_like_regexp",
			"keyword_lists[0].phrases[2] looks_like_regexp", "keyword_lists[0].phrases[4] given_twice",
			"keyword_lists[0].phrases[5] several_in_one", "keyword_lists[0].phrases[6] never_holds",
		}},
		{"never asked for", `"keyword_lists":[{"name":"k","phrases":["x"]}],"calendars":[{"name":"day","days":{"mon":[{"from":"09:00","to":"18:00"}]}}]`, []string{
			"keyword_lists[0] unused", "calendars[0] unused",
		}},
		{"a calendar without hours", `"calendars":[{"name":"day"}],"queues":[{"id":"general","hours":"day"},{"id":"billing"}]`, []string{"calendars[0] never_holds"}},
		{"rows", `"calendars":[{"name":"day","days":{"mon":[{"from":"09:00","to":"18:00"}]}}],"queues":[
			{"id":"general","overflow":[{"when":"out_of_hours","do":"bot"},{"channel":"shop-wechat","when":"busy","do":"bot"},{"channel":"wechat","when":"busy","do":"bot"}]},
			{"id":"billing","hours":"day","overflow":[{"when":"out_of_hours","do":"queue","queue":"late"},{"channel":"wechat","when":"busy","do":"invite","to":"web"},
				{"channel":"shop-wechat","when":"busy","after_s":30,"do":"invite","to":"web"},{"channel":"wecaht","when":"busy","do":"invite","to":"wbe"}]},
			{"id":"late","hours":"day"}]`, []string{
			"queues[0].overflow[0] never_holds", "queues[1].overflow[0].queue shut_when_wanted", "queues[1].overflow[2] changes_nothing",
			"queues[1].overflow[3].to unknown web", "queues[1].overflow[3].channel unknown wechat",
		}},
		{"invitations whose link opens nothing", `"queues":[{"id":"general","overflow":[{"when":"busy","do":"invite","to":"web"},{"when":"busy","do":"invite","to":"app"}]}],
			"overflow":[{"when":"nobody_online","do":"invite","to":"shop-wechat"},{"when":"busy","do":"invite","to":"shop"}]`, []string{
			"queues[0].overflow[1].to no_page", "overflow[0].to no_page", "overflow[1].to no_page",
		}},
		{"closed before it can be announced", `"conversation":{"inactive_close_s":300}`, []string{"conversation.inactive_close_s no_notice"}},
		{"closed after it was announced", `"conversation":{"inactive_close_s":301}`, nil},
		{"a reserve of more than all", `"reserve":{"units":6}`, []string{"reserve.units exceeds_units 5"}},
		{"a reserve of all", `"reserve":{"units":5}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := tt.in
			if !strings.Contains(in, `"queues"`) {
				in = `"queues":[{"id":"general"},{"id":"billing"}],` + in
			}
			p, faults := policy.Decode([]byte(`{` + in + `}`))
			if len(faults) > 0 {
				t.Fatalf("faults: %v", faults)
			}
			got := policy.Warnings(p, staff())
			if diff := cmp.Diff(append([]string{}, tt.want...), told(got)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, got)
			}
		})
	}
}

func TestNothingIsSaidOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	p, _ := policy.Decode([]byte(`{"queues":[{"id":"general","require":[{"name":"x","level":5}],"overflow":[{"when":"busy","do":"invite","to":"web"}]}],"reserve":{"units":9}}`))
	if got := policy.Warnings(p, policy.Known{}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}
