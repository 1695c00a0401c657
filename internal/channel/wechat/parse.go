package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds how deep a message may nest; real ones have four levels.
const maxDepth = 32

// fields are the plain values on the first level of a message.
type fields map[string]string

// parse reads a message in XML or in JSON. It is strict: one document, each
// field once, no document type, bounded depth.
func parse(raw []byte) (fields, error) {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil, errors.New("it is empty")
	case trimmed[0] == '{':
		return parseJSON(trimmed)
	case trimmed[0] == '<':
		return parseXML(trimmed)
	default:
		return nil, errors.New("it is neither XML nor JSON")
	}
}

func parseXML(raw []byte) (fields, error) {
	d := xml.NewDecoder(bytes.NewReader(raw)) //nolint:gosec // tokens alone are read, and no type is made of them
	out := fields{}
	var (
		depth int
		name  string // of the open field
		deep  bool   // it holds other elements
		text  strings.Builder
		over  bool
	)
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read XML: %w", err)
		}
		switch tok := tok.(type) {
		case xml.Directive:
			return nil, errors.New("read XML: a document type is not allowed")
		case xml.StartElement:
			depth++
			switch {
			case over:
				return nil, errors.New("read XML: there is something after the end")
			case depth > maxDepth:
				return nil, fmt.Errorf("read XML: deeper than %d", maxDepth)
			case depth == 1 && tok.Name.Local != "xml":
				return nil, errors.New("read XML: it is not a message")
			case depth == 2:
				name, deep = tok.Name.Local, false
				text.Reset()
				if _, ok := out[name]; ok {
					return nil, fmt.Errorf("read XML: %.40q is there twice", name)
				}
				out[name] = ""
			case depth > 2:
				deep = true
			}
		case xml.EndElement:
			if depth == 2 && !deep {
				out[name] = text.String()
			}
			depth--
			over = depth == 0
		case xml.CharData:
			switch {
			case depth == 2:
				text.Write(tok)
			case depth < 2 && len(bytes.TrimSpace(tok)) > 0:
				return nil, errors.New("read XML: there is text outside the fields")
			}
		}
	}
	if !over {
		return nil, errors.New("read XML: it has no end")
	}
	return out, nil
}

func parseJSON(raw []byte) (fields, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // ids have 64 bits
	out := fields{}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	for d.More() {
		name, err := member(d, out)
		if err != nil {
			return nil, err
		}
		tok, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read JSON: %w", err)
		}
		switch v := tok.(type) {
		case json.Delim:
			out[name] = ""
			if err := skip(d, 2); err != nil {
				return nil, err
			}
		case string:
			out[name] = v
		case json.Number:
			out[name] = v.String()
		case bool:
			out[name] = strconv.FormatBool(v)
		default: // null
			out[name] = ""
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: there is something after the end")
	}
	return out, nil
}

// member reads the name of the next member of an object that is not there yet.
func member(d *json.Decoder, seen fields) (string, error) {
	tok, err := d.Token()
	name, ok := tok.(string)
	if err != nil || !ok {
		return "", errors.New("read JSON: a name was due")
	}
	if _, twice := seen[name]; twice {
		return "", fmt.Errorf("read JSON: %.40q is there twice", name)
	}
	return name, nil
}

// skip reads to the end of the array or object that is open.
func skip(d *json.Decoder, depth int) error {
	for open := 1; open > 0; {
		tok, err := d.Token()
		if err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if open++; depth+open > maxDepth {
				return fmt.Errorf("read JSON: deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return nil
}
