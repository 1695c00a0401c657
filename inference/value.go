package inference

import (
	"context"
	"time"

	"usher"
)

// Value returns the value model's advice on a customer with these attributes, as
// of now. ok is false without a value model or without the attributes it needs
// (first_order_at, last_order_at, orders_12m, spend_12m).
func (e *Engine) Value(ctx context.Context, attributes map[string]any, now time.Time) (v usher.Value, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return usher.Value{}, false, err
	}
	return usher.Value{}, false, nil
}
