package models

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a bundle.
const (
	FileManifest  = "manifest.json"
	FileModel     = "model.onnx"
	FileTokenizer = "tokenizer.json" //nolint:gosec // a file name, no credential
	FileLabels    = "labels.json"
	FileFeatures  = "features.json"
	FileGolden    = "golden.jsonl"
)

// ErrNoBundle means that there is no such bundle, as opposed to a damaged one.
var ErrNoBundle = errors.New("no such bundle")

// Bundle is an opened and verified bundle.
type Bundle struct {
	Dir      string
	Manifest Manifest
	Labels   []Label     // of a text bundle, in the order of the logits
	Golden   []Golden    // of a text bundle
	Features []Feature   // of a tabular bundle, in the order of the input
	Rows     []GoldenRow // of a tabular bundle
}

// Path returns the path of one of the bundle's files.
func (b *Bundle) Path(file string) string { return filepath.Join(b.Dir, file) }

// Open opens the version of bundle name that alias points to, below dir, and
// verifies it: every file against its hash, the manifest against its schema, the
// labels against their hash, and the dimensions against each other. The error says
// what is wrong and in which file; it wraps ErrNoBundle when there is none.
func Open(dir, name, alias string) (*Bundle, error) {
	if !plain(name) {
		return nil, fmt.Errorf("open bundle: %q is not a name", name)
	}
	version, err := resolve(filepath.Join(dir, name, "aliases.json"), alias)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", name, err)
	}
	b := &Bundle{Dir: filepath.Join(dir, name, version)}
	if err := b.read(); err != nil {
		return nil, fmt.Errorf("open bundle %s %s: %w", name, version, err)
	}
	if b.Manifest.Name != name || b.Manifest.Version != version {
		return nil, fmt.Errorf("open bundle %s %s: its manifest says %s %s", name, version, b.Manifest.Name, b.Manifest.Version)
	}
	return b, nil
}

func resolve(path, alias string) (version string, err error) {
	raw, err := os.ReadFile(path) //nolint:gosec // below the configured folder
	if errors.Is(err, os.ErrNotExist) {
		return "", ErrNoBundle
	}
	if err != nil {
		return "", err
	}
	var aliases map[string]string
	if err := json.Unmarshal(raw, &aliases); err != nil {
		return "", fmt.Errorf("read aliases.json: %w", err)
	}
	version, ok := aliases[alias]
	if !ok {
		return "", fmt.Errorf("%w: aliases.json knows no %q", ErrNoBundle, alias)
	}
	if !plain(version) {
		return "", fmt.Errorf("aliases.json: %q is not a version", version)
	}
	return version, nil
}

// plain reports whether s can only name something inside its folder.
func plain(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, `/\`) && filepath.IsLocal(s)
}

func (b *Bundle) read() error {
	raw, err := os.ReadFile(b.Path(FileManifest))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	m := &b.Manifest
	if err := json.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	need := []string{FileModel, FileGolden, FileFeatures}
	if m.Kind == KindText {
		need = []string{FileModel, FileGolden, FileLabels, FileTokenizer}
	}
	for _, file := range need {
		if m.Files[file] == "" {
			return fmt.Errorf("manifest: files has no hash of %s", file)
		}
	}
	for file, want := range m.Files {
		if !plain(file) {
			return fmt.Errorf("manifest: %q is not a file name", file)
		}
		got, err := hashFile(b.Path(file))
		if err != nil {
			return fmt.Errorf("hash %s: %w", file, err)
		}
		if !strings.EqualFold(got, want) {
			return fmt.Errorf("%s is damaged: its SHA-256 is %s, the manifest says %s", file, got, want)
		}
	}
	switch m.Kind {
	case KindText:
		return b.readText()
	case KindTabular:
		return b.readTabular()
	default:
		return fmt.Errorf("manifest: unknown kind %q", m.Kind)
	}
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // below the configured folder
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (b *Bundle) readText() error {
	m := &b.Manifest
	if err := readJSON(b.Path(FileLabels), &b.Labels); err != nil {
		return err
	}
	if got := LabelsHash(b.Labels); got != m.LabelsSHA256 {
		return fmt.Errorf("labels.json: the names hash to %s, the manifest says %s", got, m.LabelsSHA256)
	}
	n := len(b.Labels)
	if err := errors.Join(
		wantTensors("inputs", m.Inputs, Tensor{"input_ids", "int64", []Dim{-1, -1}}, Tensor{"attention_mask", "int64", []Dim{-1, -1}}),
		wantTensors("outputs", m.Outputs, Tensor{"logits", "float32", []Dim{-1, Dim(n)}},
			Tensor{"embedding", "float32", []Dim{-1, Dim(m.Embedding.Dimension)}},
			Tensor{"match", "float32", []Dim{-1, Dim(m.Embedding.MatchDimension)}}),
	); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, l := range b.Labels {
		if known[l.Label] || l.Label == "" {
			return fmt.Errorf("labels.json: label %q is empty or given twice", l.Label)
		}
		known[l.Label] = true
	}
	for label := range m.Thresholds {
		if !known[label] {
			return fmt.Errorf("manifest: thresholds has %q, which is no label", label)
		}
	}
	if m.OutOfScope.Label != "" && !known[m.OutOfScope.Label] {
		return fmt.Errorf("manifest: out_of_scope.label %q is no label", m.OutOfScope.Label)
	}
	switch {
	case n < 2:
		return fmt.Errorf("labels.json: %d labels", n)
	case !(m.Temperature > 0):
		return fmt.Errorf("manifest: temperature %v must be above 0", m.Temperature)
	case m.MaxLength < 4:
		return fmt.Errorf("manifest: max_length %d must be at least 4", m.MaxLength)
	case m.Embedding.ID == "" || m.Embedding.Dimension <= 0 || m.Embedding.MatchDimension <= 0:
		return fmt.Errorf("manifest: embedding %+v is incomplete", m.Embedding)
	}
	return readLines(b.Path(FileGolden), &b.Golden)
}

func (b *Bundle) readTabular() error {
	m := &b.Manifest
	var features struct {
		Features []Feature `json:"features"`
	}
	if err := readJSON(b.Path(FileFeatures), &features); err != nil {
		return err
	}
	b.Features = features.Features
	n := Dim(len(b.Features))
	if err := errors.Join(
		wantTensors("inputs", m.Inputs, Tensor{"features", "float32", []Dim{-1, n}}),
		wantTensors("outputs", m.Outputs, Tensor{"expected_12m", "float32", []Dim{-1, 1}}, Tensor{"p_active", "float32", []Dim{-1, 1}}),
	); err != nil {
		return err
	}
	if err := readLines(b.Path(FileGolden), &b.Rows); err != nil {
		return err
	}
	for i, r := range b.Rows {
		if len(r.Features) != len(b.Features) {
			return fmt.Errorf("golden.jsonl: row %d has %d features, features.json %d", i+1, len(r.Features), len(b.Features))
		}
	}
	return nil
}

// LabelsHash returns the SHA-256, in hex, of the label names in their order, each
// followed by a line feed.
func LabelsHash(labels []Label) string {
	h := sha256.New()
	for _, l := range labels {
		_, _ = io.WriteString(h, l.Label+"\n") // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

func wantTensors(field string, got []Tensor, want ...Tensor) error {
	same := slices.EqualFunc(got, want, func(a, b Tensor) bool {
		return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Shape, b.Shape)
	})
	if !same {
		return fmt.Errorf("manifest: %s are %v, want %v", field, got, want)
	}
	return nil
}

func readJSON(path string, to any) error {
	raw, err := os.ReadFile(path) //nolint:gosec // below the configured folder
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}

func readLines[T any](path string, to *[]T) error {
	raw, err := os.ReadFile(path) //nolint:gosec // below the configured folder
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var row T
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return fmt.Errorf("read %s line %d: %w", filepath.Base(path), n, err)
		}
		*to = append(*to, row)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}
