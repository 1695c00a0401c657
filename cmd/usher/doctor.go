package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"usher"
	"usher/internal/sqlite"
	"usher/matcher"
)

// diagnosis is what the doctor found.
type diagnosis struct {
	Database string       `json:"database"`
	Step     usher.Step   `json:"step"`
	Faults   []string     `json:"faults"` // promises that are broken
	Notes    []string     `json:"notes"`  // what is missing or was not looked at
	Library  string       `json:"library"`
	Models   []string     `json:"models"`
	Degraded bool         `json:"degraded"`
	Version  versionInfo  `json:"version"`
	Floor    floorSummary `json:"floor"`
}

// floorSummary counts what the floor holds.
type floorSummary struct {
	Agents        int `json:"agents"`
	Conversations int `json:"conversations"` // neither closed nor blocked
	Offers        int `json:"offers"`        // pending
	Policy        int `json:"policy"`        // serving version
}

func (a *app) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Check a data directory: the log, the rows, the journal, the models", Args: noArgs,
		Long: `Checks that the log has no gap, that every accepted message is in it, that every
conversation is somewhere, that units equal the work held, that the floor as its
rows tell it is the floor that the journal makes, and says which library and
models were found. It changes nothing. Exit code 1 means that a promise is broken.`,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := a.diagnose(c.Context())
			if err != nil {
				return err
			}
			if err := a.show(d, func(w io.Writer) { showDiagnosis(w, d) }); err != nil {
				return err
			}
			if len(d.Faults) > 0 {
				return &silentError{}
			}
			return nil
		},
	}
	a.settings(c, "data", "models", "onnxruntime")
	return c
}

func (a *app) diagnose(ctx context.Context) (d diagnosis, err error) {
	cfg, err := a.config()
	if err != nil {
		return d, err
	}
	d = diagnosis{Database: database(cfg), Faults: []string{}, Notes: []string{}, Models: []string{}, Version: buildInfo()}
	// The lock keeps a server from starting; one that runs makes the floor a moving target.
	release, busy := sqlite.Lock(cfg.Data)
	if busy == nil {
		defer func() { err = errors.Join(err, release()) }()
	}
	db, err := sqlite.Open(ctx, database(cfg), sqlite.Options{ReadOnly: true})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	faults, err := db.Check(ctx)
	if err != nil {
		return d, err
	}
	for _, f := range faults {
		d.Faults = append(d.Faults, f.String())
	}
	rows, step, err := db.Load(ctx)
	if err != nil {
		return d, err
	}
	d.Step = step
	d.Floor = floorSummary{len(rows.Agents), len(rows.Conversations), len(rows.Offers), rows.Policy.Version}
	if busy == nil {
		differences, err := matcher.Verify(ctx, db, engine())
		if err != nil {
			d.Faults = append(d.Faults, "the journal can be stepped again: "+err.Error())
		}
		for _, diff := range differences {
			d.Faults = append(d.Faults, "the floor is what the journal makes: "+diff)
		}
	} else {
		d.Notes = append(d.Notes, "a server is running, so the floor was not compared with the journal")
	}
	e, err := openEngine(cfg)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	st := e.Status()
	d.Library, d.Degraded = st.Library, st.Degraded
	d.Models = append(d.Models, strings.TrimSpace(st.Model.Name+" "+st.Model.Version))
	if st.Value.Name != "" {
		d.Models = append(d.Models, st.Value.Name+" "+st.Value.Version)
	}
	d.Notes = append(d.Notes, st.Reasons...)
	return d, nil
}

func showDiagnosis(w io.Writer, d diagnosis) {
	fmt.Fprintf(w, "database  %s, step %d, policy %d\n", d.Database, d.Step, d.Floor.Policy)
	fmt.Fprintf(w, "floor     %d agents, %d open conversations, %d offers\n", d.Floor.Agents, d.Floor.Conversations, d.Floor.Offers)
	library := d.Library
	if library == "" {
		library = "not found"
	}
	fmt.Fprintf(w, "library   %s\n", library)
	fmt.Fprintf(w, "models    %s\n", strings.Join(d.Models, ", "))
	if d.Degraded {
		fmt.Fprintln(w, "degraded  no trained model answers")
	}
	for _, n := range d.Notes {
		fmt.Fprintln(w, "note      "+n)
	}
	for _, f := range d.Faults {
		fmt.Fprintln(w, "FAULT     "+f)
	}
	if len(d.Faults) == 0 {
		fmt.Fprintln(w, "clean")
	}
}
