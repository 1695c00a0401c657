package api

// Decode gives the strict decoder to the fuzz test.
func Decode(body []byte, v any) error { return decode(body, v) }
