package api_test

import (
	"testing"
	"time"
)

// Who takes a customer off a list says which list he saw.
func TestClearTierAsItWasSeen(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.want(201, "PUT", "/v1/customers/ada", map[string]any{"name": "Ada"})
	entry := map[string]any{"tier": "vip", "reason": "a friend", "expires_at": s.now().Add(time.Hour).UTC()}
	seen := s.want(200, "PUT", "/v1/customers/ada/tier", entry).header.Get("ETag")
	entry["tier"], entry["reason"] = "blacklist", "abuse"
	s.want(200, "PUT", "/v1/customers/ada/tier", entry)
	s.want(412, "DELETE", "/v1/customers/ada/tier", nil, "If-Match: "+seen)
	got := s.want(200, "GET", "/v1/customers/ada", nil)
	equal(t, "still on the list", "blacklist", got.text("tier"))
	s.want(200, "DELETE", "/v1/customers/ada/tier", nil, "If-Match: "+got.header.Get("ETag"))
	equal(t, "off it", "regular", s.want(200, "GET", "/v1/customers/ada", nil).text("tier"))
}
