package faq

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"usher"
)

// Format is how a file of entries is written.
type Format string

// The formats.
const (
	// CSV has a header naming its columns: question and answer are required; id,
	// language, alternatives, tags and enabled may be there. Several alternatives
	// or tags are separated by '|'. Rows of the same id are one entry in several languages.
	CSV Format = "csv"
	// Markdown has an entry per heading "## Question {#id}", the answer below it.
	// A line "Also: other wording | another" may come first. Without {#id} the id
	// is made of the question; the same {#id} again is the entry in another language.
	Markdown Format = "markdown"
	// JSON is an array of entries or one entry per line.
	JSON Format = "json"
)

// FormatOf guesses the format from a file's name.
func FormatOf(name string) (Format, bool) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV, true
	case ".md", ".markdown":
		return Markdown, true
	case ".json", ".jsonl", ".ndjson":
		return JSON, true
	default:
		return "", false
	}
}

// Row is one entry as a file has it, or why it is none. Row counts entries, from 1.
type Row struct {
	Row   int
	Line  int // where it begins in the file, from 1; 0 = not known
	Entry Entry
	Err   error
}

// Parse reads entries. A bad one has an error and leaves the others alone; the
// error of Parse itself means that nothing can be read, or that there are more
// than MaxEntries. language is that of texts that do not say theirs; "" means
// that Chinese characters make a text Chinese, and anything else is English.
func Parse(format Format, file []byte, language string) ([]Row, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	var parts []part
	var err error
	switch format {
	case CSV:
		parts, err = parseCSV(file)
	case Markdown:
		parts = parseMarkdown(file)
	case JSON:
		parts, err = parseJSON(file)
	default:
		err = usher.Errorf(usher.InvalidArgument, "the format is csv, markdown or json").At("format")
	}
	if err != nil {
		return nil, err
	}
	rows := join(parts, usher.Language(language), format != JSON)
	if len(rows) > MaxEntries {
		return nil, usher.Errorf(usher.InvalidArgument, "the file has %d entries, %d are allowed", len(rows), MaxEntries)
	}
	return rows, nil
}

// part is one row of a file: a whole entry, or one of its languages.
type part struct {
	line     int
	entry    Entry
	language string // of question and answer
	question string
	answer   string
	err      error
}

// join puts the languages of an entry together, in the order of the first ones.
func join(parts []part, language string, merge bool) []Row {
	rows := []Row{}
	at := map[string]int{}
	for _, p := range parts {
		if p.question != "" || p.answer != "" {
			l := p.language
			if l == "" {
				l = language
			}
			if l == "" {
				l = languageOf(p.question + p.answer)
			}
			p.entry.Titles, p.entry.Answers = map[string]string{l: p.question}, map[string]string{l: p.answer}
			if p.entry.ID == "" {
				sum := sha256.Sum256([]byte(p.question))
				p.entry.ID = "faq-" + hex.EncodeToString(sum[:5])
			}
		}
		i, known := at[p.entry.ID]
		switch {
		case p.err != nil || p.entry.ID == "" || !known:
			if p.err == nil && p.entry.ID != "" {
				at[p.entry.ID] = len(rows)
			}
			rows = append(rows, Row{Row: len(rows) + 1, Line: p.line, Entry: p.entry, Err: p.err})
			continue
		case !merge || overlaps(rows[i].Entry.Titles, p.entry.Titles):
			rows = append(rows, Row{
				Row: len(rows) + 1, Line: p.line, Entry: p.entry,
				Err: usher.Errorf(usher.InvalidArgument, "the id stands in row %d already", rows[i].Row).At("id"),
			})
			continue
		}
		e := &rows[i].Entry
		maps.Copy(e.Titles, p.entry.Titles)
		maps.Copy(e.Answers, p.entry.Answers)
		e.Questions = append(e.Questions, p.entry.Questions...)
		for _, t := range p.entry.Tags {
			if !slices.Contains(e.Tags, t) {
				e.Tags = append(e.Tags, t)
			}
		}
	}
	for i := range rows {
		if rows[i].Err == nil {
			rows[i].Err = Check(rows[i].Entry)
		}
	}
	return rows
}

func overlaps(a, b map[string]string) bool {
	for l := range b {
		if _, ok := a[l]; ok {
			return true
		}
	}
	return false
}

func languageOf(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return "zh"
	}
	return "en"
}

func parseCSV(file []byte) ([]part, error) {
	r := csv.NewReader(bytes.NewReader(file))
	r.FieldsPerRecord = -1
	columns := []string{"id", "language", "question", "answer", "alternatives", "tags", "enabled"}
	header, err := r.Read()
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the first line must name the columns: %s", strings.Join(columns, ","))
	}
	var f faults
	for i, h := range header {
		header[i] = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains(columns, header[i]) {
			f.add("columns["+strconv.Itoa(i)+"]", "unknown_field", "columns are "+strings.Join(columns, ", "))
		}
		if slices.Contains(header[:i], header[i]) {
			f.add("columns["+strconv.Itoa(i)+"]", "duplicate", "the column is named twice")
		}
	}
	for _, required := range []string{"question", "answer"} {
		if !slices.Contains(header, required) {
			f.add("columns."+required, "required", "the column "+required+" is required")
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var parts []part
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if e, ok := errors.AsType[*csv.ParseError](err); ok {
			parts = append(parts, part{line: e.StartLine, err: usher.Errorf(usher.InvalidArgument, "line %d is not CSV", e.StartLine)})
			continue
		}
		if err != nil {
			return nil, usher.Errorf(usher.InvalidArgument, "the file could not be read").Because(err)
		}
		line, _ := r.FieldPos(0)
		parts = append(parts, csvPart(header, record, line))
	}
}

func csvPart(header, record []string, line int) part {
	p := part{line: line, entry: Entry{Enabled: true}}
	if len(record) != len(header) {
		p.err = usher.Errorf(usher.InvalidArgument, "%d fields where the header has %d", len(record), len(header))
		return p
	}
	for i, name := range header {
		v := strings.TrimSpace(record[i])
		switch name {
		case "id":
			p.entry.ID = v
		case "language":
			p.language = usher.Language(v)
		case "question":
			p.question = v
		case "answer":
			p.answer = v
		case "alternatives":
			p.entry.Questions = split(v)
		case "tags":
			p.entry.Tags = split(v)
		case "enabled":
			switch strings.ToLower(v) {
			case "", "true", "yes", "1", "是":
			case "false", "no", "0", "否":
				p.entry.Enabled = false
			default:
				p.err = usher.Errorf(usher.InvalidArgument, "enabled is true or false").At("enabled")
			}
		}
	}
	if p.question == "" || p.answer == "" {
		var f faults
		if p.question == "" {
			f.add("question", "required", "question is empty")
		}
		if p.answer == "" {
			f.add("answer", "required", "answer is empty")
		}
		p.err = f.err()
	}
	return p
}

func split(v string) []string {
	var out []string
	for s := range strings.SplitSeq(v, "|") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func parseMarkdown(file []byte) []part {
	var parts []part
	var body []string
	fenced := false
	end := func() {
		if len(parts) == 0 {
			body = nil // what stands before the first heading is an introduction
			return
		}
		p := &parts[len(parts)-1]
		p.answer = strings.TrimSpace(strings.Join(body, "\n"))
		body = nil
		if p.err == nil && (p.question == "" || p.answer == "") {
			what := "answer"
			if p.question == "" {
				what = "question"
			}
			p.err = usher.Errorf(usher.InvalidArgument, "the %s is empty", what).At(what)
		}
	}
	n := 0
	for line := range strings.SplitSeq(string(file), "\n") {
		n++
		line = strings.TrimRight(line, "\r")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		heading, ok := strings.CutPrefix(line, "## ")
		if ok && !fenced {
			end()
			p := part{line: n, entry: Entry{Enabled: true}}
			p.question = strings.TrimSpace(heading)
			if title, id, ok := strings.Cut(p.question, "{#"); ok && strings.HasSuffix(id, "}") {
				p.question, p.entry.ID = strings.TrimSpace(title), strings.TrimSuffix(id, "}")
			}
			parts = append(parts, p)
			continue
		}
		if also, ok := also(line); ok && len(parts) > 0 && strings.TrimSpace(strings.Join(body, "")) == "" {
			e := &parts[len(parts)-1].entry
			e.Questions = append(e.Questions, split(also)...)
			continue
		}
		body = append(body, line)
	}
	end()
	return parts
}

func also(line string) (string, bool) {
	for _, word := range []string{"Also:", "also:", "也问：", "也问:"} {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word); ok {
			return rest, true
		}
	}
	return "", false
}

// jsonEntry is an entry as a file has it. What the store gives may stand there, and is ignored.
type jsonEntry struct {
	ID        string            `json:"id"`
	Titles    map[string]string `json:"titles"`
	Questions []string          `json:"questions"`
	Answers   map[string]string `json:"answers"`
	Tags      []string          `json:"tags"`
	Enabled   *bool             `json:"enabled"`
	Version   any               `json:"version"`
	UpdatedAt any               `json:"updated_at"`
}

func parseJSON(file []byte) ([]part, error) {
	file = bytes.TrimSpace(file)
	var parts []part
	if !bytes.HasPrefix(file, []byte("[")) {
		n := 0
		for line := range bytes.Lines(file) {
			n++
			if line = bytes.TrimSpace(line); len(line) > 0 {
				parts = append(parts, jsonPart(line, n))
			}
		}
		return parts, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(file, &items); err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the file is not a JSON array").Because(err)
	}
	for _, item := range items {
		parts = append(parts, jsonPart(item, 0))
	}
	return parts, nil
}

func jsonPart(raw []byte, line int) part {
	var j jsonEntry
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(&j)
	if err == nil && d.More() {
		err = errors.New("there is more than one value")
	}
	p := part{line: line, entry: Entry{
		ID: j.ID, Titles: j.Titles, Questions: j.Questions, Answers: j.Answers, Tags: j.Tags, Enabled: j.Enabled == nil || *j.Enabled,
	}}
	if err != nil {
		p.err = usher.Errorf(usher.InvalidArgument, "%s", fmt.Sprintf("the entry could not be read: %v", err))
	}
	return p
}
