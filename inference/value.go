package inference

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/models"
)

// valueModel is an opened tabular bundle.
type valueModel struct {
	bundle *models.Bundle
	graph  *graph
}

func openValue(b *models.Bundle) (*valueModel, error) {
	g, err := openGraph(b.Path(models.FileModel), b.Manifest.Inputs, b.Manifest.Outputs)
	if err != nil {
		return nil, err
	}
	v := &valueModel{bundle: b, graph: g}
	if err := v.prove(b.Rows[:min(goldenAtLoad, len(b.Rows))]); err != nil {
		if closing := g.close(); closing != nil {
			return nil, fmt.Errorf("%w; close: %w", err, closing)
		}
		return nil, err
	}
	return v, nil
}

// prove compares golden rows: within a thousandth, or .001.
func (v *valueModel) prove(rows []models.GoldenRow) error {
	for i, r := range rows {
		x := make([]float32, len(r.Features))
		for k, f := range r.Features {
			x[k] = float32(math.NaN())
			if f != nil {
				x[k] = *f
			}
		}
		expected, active, err := v.predict(1, x)
		if err != nil {
			return fmt.Errorf("golden row %d: %w", i+1, err)
		}
		near := func(got float32, want float64) bool {
			return math.Abs(float64(got)-want) <= 1e-3*max(1, math.Abs(want))
		}
		if !near(expected[0], r.Expected12m) || !near(active[0], r.PActive) {
			return fmt.Errorf("golden row %d: %v and %v, want %v and %v", i+1, expected[0], active[0], r.Expected12m, r.PActive)
		}
	}
	return nil
}

func (v *valueModel) predict(rows int, x []float32) (expected, active []float32, err error) {
	expected, active = make([]float32, rows), make([]float32, rows)
	return expected, active, v.graph.tabular(rows, x, expected, active)
}

// Value returns the value model's advice on a customer with these attributes, as of
// now: expected spend in twelve months in the customer's currency, the probability
// of any order, and up to three reasons "feature:difference", each the change in
// expected spend that the feature makes against an ordinary customer's. ok is false
// without a value model, or when last_order_at, orders_12m and spend_12m are all
// absent or of a wrong type. The tier is the caller's to draw.
func (e *Engine) Value(ctx context.Context, attributes map[string]any, now time.Time) (v usher.Value, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return usher.Value{}, false, err
	}
	if e.value == nil {
		return usher.Value{}, false, nil
	}
	features := e.value.bundle.Features
	x, known := valueFeatures(features, attributes, now)
	if !known {
		return usher.Value{}, false, nil
	}
	// One run for the customer and for him with each feature made ordinary.
	all := slices.Clone(x)
	var changed []int
	for i, f := range features {
		if !math.IsNaN(float64(x[i])) && x[i] != float32(f.Baseline) && !strings.HasSuffix(f.Name, "_missing") {
			changed = append(changed, i)
			all = append(all, x...)
			all[len(all)-len(x)+i] = float32(f.Baseline)
		}
	}
	expected, active, err := e.value.predict(1+len(changed), all)
	if err != nil {
		return usher.Value{}, false, failed(err)
	}
	v = usher.Value{Expected12m: float64(expected[0]), PActive: float64(active[0]), At: now, Reasons: []string{}}
	if math.IsNaN(v.Expected12m) || math.IsInf(v.Expected12m, 0) || math.IsNaN(v.PActive) {
		return usher.Value{}, false, failed(fmt.Errorf("value model gives %v and %v", v.Expected12m, v.PActive))
	}
	type reason struct {
		name string
		by   float64
	}
	var reasons []reason
	for k, i := range changed {
		if by := v.Expected12m - float64(expected[k+1]); math.Abs(by) >= 0.05 {
			reasons = append(reasons, reason{features[i].Name, by})
		}
	}
	slices.SortStableFunc(reasons, func(a, b reason) int { return cmp.Compare(math.Abs(b.by), math.Abs(a.by)) })
	for _, r := range reasons[:min(3, len(reasons))] {
		v.Reasons = append(v.Reasons, fmt.Sprintf("%s:%+.1f", r.name, r.by))
	}
	return v, true, nil
}

// valueFeatures computes the input of the model. A feature that cannot be computed
// gets what features.json says for missing. known is false when nothing of the
// customer's orders is known.
func valueFeatures(features []models.Feature, attributes map[string]any, now time.Time) (x []float32, known bool) {
	days := func(name string) (float64, bool) {
		at, ok := instant(attributes[name])
		if !ok {
			return 0, false
		}
		return max(0, now.Sub(at).Hours()/24), true
	}
	for _, f := range features {
		var v float64
		var ok bool
		switch f.Name {
		case "recency_days":
			v, ok = days("last_order_at")
			known = known || ok
		case "tenure_days":
			v, ok = days("first_order_at")
		case "avg_basket":
			var orders float64
			v, ok = number(attributes["spend_12m"])
			if ok {
				orders, ok = number(attributes["orders_12m"])
				ok = ok && orders > 0
				v /= max(orders, 1e-9)
			}
		default:
			if base, is := strings.CutSuffix(f.Name, "_missing"); is {
				if _, has := number(attributes[base]); !has {
					v = 1
				}
				ok = true
				break
			}
			v, ok = number(attributes[f.Name])
			known = known || ok && (f.Name == "orders_12m" || f.Name == "spend_12m")
		}
		if !ok {
			v = float64(f.Missing)
		}
		x = append(x, float32(v))
	}
	return x, known
}

// number reads a JSON number; anything else, and what is no finite number, is absent.
func number(v any) (float64, bool) {
	var f float64
	switch n := v.(type) {
	case float64:
		f = n
	case int:
		f = float64(n)
	case int64:
		f = float64(n)
	case json.Number:
		var err error
		if f, err = n.Float64(); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// instant reads an RFC 3339 time or a date.
func instant(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, !t.IsZero()
	case string:
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if at, err := time.Parse(layout, t); err == nil {
				return at, true
			}
		}
	}
	return time.Time{}, false
}
