package models

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

//go:embed all:intent all:value
var shipped embed.FS

// FS returns the shipped bundles: <name>/<version>/… and <name>/aliases.json.
func FS() fs.FS { return shipped }

// Unpack writes the shipped bundles below dir. A version that is there already with
// the same manifest is left alone, any other content of that version is replaced;
// versions of one's own stay. Aliases that exist stay as they are, unless they
// point to nothing.
func Unpack(dir string) error { return unpack(shipped, dir) }

func unpack(from fs.FS, dir string) error {
	names, err := fs.ReadDir(from, ".")
	if err != nil {
		return fmt.Errorf("unpack bundles: %w", err)
	}
	for _, name := range names {
		if !name.IsDir() {
			continue
		}
		if err := unpackName(from, name.Name(), dir); err != nil {
			return fmt.Errorf("unpack bundle %s: %w", name.Name(), err)
		}
	}
	return nil
}

func unpackName(from fs.FS, name, dir string) error {
	entries, err := fs.ReadDir(from, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := unpackVersion(from, path.Join(name, e.Name()), filepath.Join(dir, name, e.Name())); err != nil {
			return err
		}
	}
	return unpackAliases(from, name, filepath.Join(dir, name))
}

// unpackVersion writes beside the target and renames, the manifest last, so that a
// version is there whole or not at all.
func unpackVersion(from fs.FS, source, target string) error {
	manifest, err := fs.ReadFile(from, path.Join(source, FileManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not a bundle
	}
	if err != nil {
		return err
	}
	present, err := os.ReadFile(filepath.Join(target, FileManifest)) //nolint:gosec // below the configured folder
	if err == nil && bytes.Equal(present, manifest) && complete(from, source, target) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(target), ".unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // gone after the rename; a left-over is harmless
	files, err := fs.ReadDir(from, source)
	if err != nil {
		return err
	}
	for _, f := range files {
		raw, err := fs.ReadFile(from, path.Join(source, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(fresh, f.Name()), raw, 0o600); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	return os.Rename(fresh, target)
}

// complete reports whether every shipped file is there with its size; Open checks
// the content.
func complete(from fs.FS, source, target string) bool {
	files, err := fs.ReadDir(from, source)
	if err != nil {
		return false
	}
	for _, f := range files {
		want, err := f.Info()
		if err != nil {
			return false
		}
		got, err := os.Stat(filepath.Join(target, f.Name()))
		if err != nil || got.Size() != want.Size() {
			return false
		}
	}
	return true
}

func unpackAliases(from fs.FS, name, dir string) error {
	raw, err := fs.ReadFile(from, path.Join(name, "aliases.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var fresh, present map[string]string
	if err := json.Unmarshal(raw, &fresh); err != nil {
		return fmt.Errorf("read shipped aliases: %w", err)
	}
	file := filepath.Join(dir, "aliases.json")
	raw, err = os.ReadFile(file) //nolint:gosec // below the configured folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(raw, &present); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	}
	changed := false
	for alias, version := range fresh {
		old, ok := present[alias]
		if ok {
			if _, err := os.Stat(filepath.Join(dir, old, FileManifest)); err == nil {
				continue
			}
		}
		if present == nil {
			present = map[string]string{}
		}
		present[alias], changed = version, true
	}
	if !changed {
		return nil
	}
	raw, err = json.Marshal(present)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}
