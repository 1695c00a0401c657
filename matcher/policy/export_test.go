package policy

// TracedFold is what [Fold] must be, by the way that remembers places.
func TracedFold(s string) string { t := trace(s); return t.folded }
