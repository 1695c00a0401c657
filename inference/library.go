package inference

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// LibraryPlaces returns where the ONNX Runtime library is looked for, best first:
// the configured path, the path from the environment, the folder of the executable,
// .cache/ in it and in every folder above, then the places of the system. Empty
// arguments are left out.
func LibraryPlaces(configured, environment, executable string) []string {
	var places []string
	for _, p := range []string{configured, environment} {
		if p != "" {
			places = append(places, p)
		}
	}
	if executable != "" {
		dir := filepath.Dir(executable)
		places = append(places, dir)
		for {
			places = append(places, filepath.Join(dir, ".cache"))
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return append(places, "/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/opt/homebrew/lib")
}

// FindLibrary returns the first library among the candidates, or "". A candidate
// is a file, or a folder that holds the library, itself or at most two folders
// deeper; of several versions in one folder the last by name wins.
func FindLibrary(candidates []string) string {
	for _, c := range candidates {
		info, err := os.Stat(c)
		switch {
		case err != nil:
		case !info.IsDir():
			return c
		default:
			for _, depth := range []string{"", "*", filepath.Join("*", "*")} {
				if found := libraryIn(filepath.Join(c, depth)); found != "" {
					return found
				}
			}
		}
	}
	return ""
}

func libraryIn(folders string) string {
	pattern := "libonnxruntime.so*"
	switch runtime.GOOS {
	case "darwin":
		pattern = "libonnxruntime*.dylib"
	case "windows":
		pattern = "onnxruntime.dll"
	}
	// The pattern is fixed but for the folders; a bad one in them finds nothing.
	found, err := filepath.Glob(filepath.Join(folders, pattern))
	if err != nil {
		return ""
	}
	found = slices.DeleteFunc(found, func(p string) bool {
		info, err := os.Stat(p)
		return err != nil || info.IsDir() || strings.Contains(filepath.Base(p), "providers")
	})
	if len(found) == 0 {
		return ""
	}
	return slices.Max(found)
}
