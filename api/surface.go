package api

import "strings"

// Surface is one call that the server answers, as the OpenAPI document names it.
type Surface struct {
	Method string
	Path   string   // with {parameters}
	Query  []string // the parameters it knows
}

// Surface lists every call, in the order of the table.
func (s *Server) Surface() []Surface {
	var out []Surface
	for _, rt := range s.table() {
		parts := strings.Split(rt.path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		out = append(out, Surface{Method: rt.method, Path: strings.Join(parts, "/"), Query: rt.query})
	}
	return out
}
