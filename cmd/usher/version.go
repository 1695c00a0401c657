package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"usher/internal/config"
)

// version is the release that this tree becomes.
const version = "0.1.0-dev"

// engine names build and architecture: scores may be compared byte for byte only
// between equal engines.
func engine() string { return "usher " + version + " " + runtime.Version() + " " + runtime.GOARCH }

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildInfo() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildInfo()
			return a.show(v, func(w io.Writer) {
				fmt.Fprintf(w, "usher %s %s %s\n", v.Version, v.Go, v.Platform)
			})
		},
	}
}

func (a *app) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Read file, environment and flags, and print every fault or the result", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if cfg.BootstrapKey != "" {
				cfg.BootstrapKey = "(set)"
			}
			values := map[string]string{}
			rows := [][]string{{"SETTING", "VALUE", "ENVIRONMENT"}}
			for _, s := range config.Settings() {
				values[s.Key] = s.Value(cfg)
				rows = append(rows, []string{s.Key, s.Value(cfg), s.Env()})
			}
			return a.show(values, func(w io.Writer) { table(w, rows) })
		},
	}
	a.settings(check)
	return group("config", "The configuration", check)
}
