package inference_test

import (
	"testing"
)

func TestHashingLinksSkills(t *testing.T) {
	t.Parallel()
	e := open(t)
	for skill, want := range map[string]string{
		"退款与退货":               "return_refund",
		"技术支持":                "tech_howto",
		"refunds and returns": "return_refund",
		"technical support":   "tech_howto",
		"物流查询":                "order_logistics",
		"投诉处理":                "complaint",
		"billing":             "payment_invoice",
		"弹钢琴":                 "",
		"":                    "",
	} {
		links, err := e.Links(t.Context(), []string{skill})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(links) > 0 {
			got = links[0].Intent
		}
		if got != want {
			t.Errorf("%q: %v, want %q", skill, links, want)
		}
	}
}
