// Command usher routes the conversations of an online customer-service team:
// who should take this one, now?
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // calendars name zones that a small image does not have

	"github.com/spf13/cobra"

	"usher"
	"usher/inference"
	"usher/internal/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// A dependency calls log.Fatal on some input; here that becomes a panic that inference recovers.
	log.SetOutput(inference.FatalWriter(os.Stderr))
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals // somebody insists
		os.Exit(exitFailed)
	}()
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, flags: map[string]string{}}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*silentError](err); ok {
		return exitFailed
	}
	explain(stderr, err)
	if u, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "See 'usher %s--help'.\n", u.of)
		return exitUsage
	}
	return exitFailed
}

// explain prints an error for the person at the terminal: all that is known.
func explain(w io.Writer, err error) {
	fmt.Fprintln(w, "usher:", err)
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		return
	}
	if e.Code != usher.InvalidArgument { // the message of a configuration lists its faults already
		for _, d := range e.Details {
			fmt.Fprintf(w, "  %s: %s\n", d.Path, d.Message)
		}
	}
	if e.Hint != "" {
		fmt.Fprintln(w, "hint:", e.Hint)
	}
}

// usageError is a command line that cannot be understood.
type usageError struct {
	of  string // the command, with a space after it
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// silentError is a failure that has been told already.
type silentError struct{}

func (*silentError) Error() string { return "failed" }

// app is what every command shares.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer

	file   string            // of the configuration
	output string            // table or json
	server string            // of a running usher; "" = work on the data directory
	key    string            // for the server
	flags  map[string]string // settings given as flags, by name
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "usher",
		Short:         "Routes each customer conversation to the agent who should take it now",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.file, "config", "", "configuration file (default $USHER_CONFIG)")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if a.output != "table" && a.output != "json" {
			return &usageError{commandName(c), fmt.Errorf("--output is %q, not table or json", a.output)}
		}
		return nil
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{commandName(c), err} })
	root.AddCommand(
		a.serveCommand(), a.demoCommand(), a.understandCommand(), a.matchCommand(), a.policyCommand(), a.keysCommand(), a.accountsCommand(),
		a.decisionsCommand(), a.evalCommand(), a.doctorCommand(), a.configCommand(), a.versionCommand(), a.customersCommand(), a.faqCommand(),
	)
	return root
}

// commandName is the path of c below usher, with a space after it.
func commandName(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return commandName(c.Parent()) + c.Name() + " "
}

// settings gives c the flags of the named settings; none named means all.
func (a *app) settings(c *cobra.Command, keys ...string) {
	for _, s := range config.Settings() {
		name := s.Flag()
		wanted := len(keys) == 0
		for _, k := range keys {
			wanted = wanted || k == s.Key
		}
		if name == "" || !wanted {
			continue
		}
		c.Flags().Var(&setting{a.flags, name}, name, s.Usage)
	}
}

// setting is a flag that remembers that it was given.
type setting struct {
	given map[string]string
	name  string
}

func (s *setting) String() string     { return "" }
func (s *setting) Type() string       { return "string" }
func (s *setting) Set(v string) error { s.given[s.name] = v; return nil }

// config reads the configuration from file, environment and flags.
func (a *app) config() (config.Config, error) {
	file := a.file
	if file == "" {
		file = a.getenv("USHER_CONFIG")
	}
	return config.Load(file, a.getenv, a.flags)
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{commandName(c), fmt.Errorf("%q is no command or argument that usher %sknows", args[0], commandName(c))}
	}
	return nil
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return &usageError{commandName(c), fmt.Errorf("%d arguments given, wanted %d: %v", len(args), len(names), names)}
		}
		return nil
	}
}

func someArgs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{commandName(c), fmt.Errorf("%s is required", what)}
		}
		return nil
	}
}

// group is a command that only holds others.
func group(use, short string, of ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(of...)
	return c
}
