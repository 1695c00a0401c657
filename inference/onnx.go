//go:build cgo

package inference

import (
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"usher"
	"usher/models"
)

// CanRunModels reports whether this build can run models: it needs cgo.
func CanRunModels() bool { return true }

// The library allows one environment a process, created once and never destroyed:
// unloading and loading it again is what its users report to fail. So it is the one
// thing here that cannot belong to an Engine.
var environment struct { //nolint:gochecknoglobals // the library's own state is global
	sync.Mutex
	library string
}

// loadLibrary loads the ONNX Runtime library at path, unless one is loaded already,
// and returns the path of the one in use.
func loadLibrary(path string) (string, error) {
	environment.Lock()
	defer environment.Unlock()
	if environment.library != "" {
		return environment.library, nil
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return "", &usher.Error{
			Code: usher.Unavailable, Message: "the ONNX Runtime library cannot be used", Err: err,
			Hint: path + " must be ONNX Runtime 1.24 or newer for this machine",
		}
	}
	environment.library = path
	return path, nil
}

// graph is a loaded model. Runs may overlap; close waits for those under way.
type graph struct {
	mu      sync.RWMutex
	session *ort.DynamicAdvancedSession // nil once closed
}

// openGraph loads the model at path and checks its inputs and outputs, which the
// library itself only looks at when it is too late.
func openGraph(path string, inputs, outputs []models.Tensor) (_ *graph, err error) {
	// A second, unoptimised session is what the binding offers to look at names
	// before a session exists.
	bare, err := sessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.Destroy()) }()
	if err := bare.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll); err != nil {
		return nil, fmt.Errorf("set optimisation level: %w", err)
	}
	in, out, err := ort.GetInputOutputInfoWithOptions(path, bare)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if err := errors.Join(sameTensors("input", in, inputs), sameTensors("output", out, outputs)); err != nil {
		return nil, err
	}
	options, err := sessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, options.Destroy()) }()
	s, err := ort.NewDynamicAdvancedSession(path, names(inputs), names(outputs), options)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return &graph{session: s}, nil
}

func sessionOptions() (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("make session options: %w", err)
	}
	if err := errors.Join(
		// Workers are the parallelism; more threads inside only fight over cores.
		o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1),
		// Measured with 128 tokens: without the arena 8 % more CPU and 20 MB more
		// resident, since every run maps its memory anew; with 15 tokens no difference.
		o.SetCpuMemArena(true),
		// Its messages quote internals on stderr; errors come back as values.
		o.SetLogSeverityLevel(ort.LoggingLevelFatal),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("set session options: %w", err), o.Destroy())
	}
	return o, nil
}

func names(ts []models.Tensor) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.Name
	}
	return out
}

// sameTensors demands every tensor of the manifest, by name, type and fixed
// dimensions, and no input besides: it could not be filled.
func sameTensors(what string, got []ort.InputOutputInfo, want []models.Tensor) error {
	if what == "input" && len(got) != len(want) {
		return fmt.Errorf("model has %d inputs, the manifest %d", len(got), len(want))
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			if g.Name != w.Name {
				continue
			}
			found = true
			element := map[string]ort.TensorElementDataType{"int64": ort.TensorElementDataTypeInt64, "float32": ort.TensorElementDataTypeFloat}[w.Type]
			if g.OrtValueType != ort.ONNXTypeTensor || g.DataType != element {
				return fmt.Errorf("model's %s %s is %v, the manifest says %s", what, w.Name, g.DataType, w.Type)
			}
			if len(g.Dimensions) != len(w.Shape) {
				return fmt.Errorf("model's %s %s has %d dimensions, the manifest %d", what, w.Name, len(g.Dimensions), len(w.Shape))
			}
			for i, d := range g.Dimensions {
				if d > 0 && w.Shape[i] > 0 && d != int64(w.Shape[i]) {
					return fmt.Errorf("dimension %d of the model's %s %s is %d, the manifest says %d", i, what, w.Name, d, w.Shape[i])
				}
			}
		}
		if !found {
			return fmt.Errorf("model has no %s %s", what, w.Name)
		}
	}
	return nil
}

// text runs a text model over batch rows of width tokens. The results are written
// to the given slices, whose lengths must be batch times the row's.
func (g *graph) text(batch, width int, ids, mask []int64, logits, embedding, match []float32) error {
	if batch < 1 || width < 1 || len(ids) != batch*width || len(mask) != len(ids) {
		return fmt.Errorf("run model: %d ids and %d mask values for %d x %d", len(ids), len(mask), batch, width)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	b, w := int64(batch), int64(width)
	return g.run(
		func(add func(ort.Value, error)) {
			add(ort.NewTensor(ort.Shape{b, w}, ids))
			add(ort.NewTensor(ort.Shape{b, w}, mask))
		},
		func(add func(ort.Value, error)) {
			add(ort.NewTensor(ort.Shape{b, int64(len(logits) / batch)}, logits))
			add(ort.NewTensor(ort.Shape{b, int64(len(embedding) / batch)}, embedding))
			add(ort.NewTensor(ort.Shape{b, int64(len(match) / batch)}, match))
		})
}

// tabular runs a tabular model over rows of features; expected and active get one
// number a row.
func (g *graph) tabular(rows int, features, expected, active []float32) error {
	if rows < 1 || len(features)%rows != 0 || len(features) == 0 || len(expected) != rows || len(active) != rows {
		return fmt.Errorf("run model: %d features for %d rows", len(features), rows)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := int64(rows)
	return g.run(
		func(add func(ort.Value, error)) {
			add(ort.NewTensor(ort.Shape{n, int64(len(features) / rows)}, features))
		},
		func(add func(ort.Value, error)) {
			add(ort.NewTensor(ort.Shape{n, 1}, expected))
			add(ort.NewTensor(ort.Shape{n, 1}, active))
		})
}

// run makes the tensors, runs the session and frees the tensors. The caller holds
// the read lock.
func (g *graph) run(inputs, outputs func(add func(ort.Value, error))) (err error) {
	if g.session == nil {
		return errClosed()
	}
	var in, out []ort.Value
	collect := func(to *[]ort.Value) func(ort.Value, error) {
		return func(v ort.Value, made error) {
			if made != nil { // v is a typed nil then
				err = errors.Join(err, made)
				return
			}
			*to = append(*to, v)
		}
	}
	inputs(collect(&in))
	outputs(collect(&out))
	defer func() {
		for _, v := range append(in, out...) {
			err = errors.Join(err, v.Destroy())
		}
	}()
	if err != nil {
		return fmt.Errorf("make tensors: %w", err)
	}
	if err := g.session.Run(in, out); err != nil {
		return fmt.Errorf("run model: %w", err)
	}
	return nil
}

// close frees the model once no run is under way. Again is no error.
func (g *graph) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.session == nil {
		return nil
	}
	s := g.session
	g.session = nil
	return s.Destroy()
}
