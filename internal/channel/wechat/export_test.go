package wechat

// For tests in the package beside.
var (
	Sign  = sign
	Split = split
	Parse = func(raw []byte) (map[string]string, error) { return parse(raw) }
)
