package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"usher"
	"usher/api"
)

type shape struct {
	Text   string             `json:"text"`
	Number *int               `json:"number"`
	Share  float64            `json:"share"`
	At     *time.Time         `json:"at"`
	Words  []string           `json:"words"`
	Levels []usher.SkillLevel `json:"levels"`
	Units  map[string]int     `json:"units"`
	Free   map[string]any     `json:"free"`
	Inner  struct {
		Deep bool `json:"deep"`
	} `json:"inner"`
	Anything any `json:"anything"`
}

// Whatever is accepted is JSON that fits, and whatever is refused is the
// caller's fault and says so.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, ``, `null`, `[]`, `{"text":"a","number":1,"share":.5}`, `{"share":1e400}`, `{"number":1.0}`, `{"number":1e2}`,
		`{"at":"2026-01-01T00:00:00Z","words":["a",null],"levels":[{"name":"a","level":1}]}`, `{"units":{"a":1,"a":2}}`,
		`{"free":{"a":{"b":[1,{"c":null}]}},"inner":{"deep":true}}`, `{"inner":[{}]}`, "{\"text\":\"\xff\"}", `{"te\u0078t":"a"}`,
		`{"text":"a"}{}`, `{"Text":"a"}`, `{"anything":[[[[]]]]}`, `{"levels":[[]]}`, `{"at":5}`, `{"":1}`, `{"levels":[{"level":"x"},{"colour":1}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v shape
		err := api.Decode(body, &v)
		if err != nil {
			if usher.CodeOf(err) != usher.InvalidArgument {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if len(body) == 0 {
			return
		}
		var again shape
		if err := json.Unmarshal(body, &again); err != nil && json.Valid(body) {
			t.Errorf("%q was accepted, but %v", body, err)
		}
	})
}
