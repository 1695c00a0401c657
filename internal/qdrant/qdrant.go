// Package qdrant keeps vectors in a Qdrant server. Index is the server alone; Mirror
// is an index in memory with a copy in Qdrant, and what usher runs on.
package qdrant

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	api "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"usher"
)

const (
	// MaxHits is how many hits a search returns at most; the server holds to it too.
	MaxHits = 1000
	// exactUpTo is the size of a collection up to which every vector is looked at.
	exactUpTo = 20_000
	// searchWidth is how many candidates the graph of a larger collection keeps. The
	// server's own choice loses a part of the nearest.
	searchWidth = 256

	batchRows  = 1000
	batchBytes = 4 << 20

	fieldID   = "id"
	fieldHash = "hash"
)

// Config says where the server is.
type Config struct {
	Host   string
	Port   int    // of gRPC; defaults to 6334
	APIKey Secret // "" = none; sent in the clear without TLS
	TLS    bool
	Prefix string // of every collection and alias; defaults to "usher"

	Search time.Duration // what a search may take; defaults to 250 ms
	Write  time.Duration // what any other call may take; defaults to 10 s
	Health time.Duration // what a health check may take; defaults to 1 s
}

// Secret is text that no log shows.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// WithDefaults fills the fields left empty.
func (c Config) WithDefaults() Config {
	c.Port = cmp.Or(c.Port, 6334)
	c.Prefix = cmp.Or(c.Prefix, "usher")
	c.Search = cmp.Or(c.Search, 250*time.Millisecond)
	c.Write = cmp.Or(c.Write, 10*time.Second)
	c.Health = cmp.Or(c.Health, time.Second)
	return c
}

// Index is vectors in a Qdrant server. A collection "kind:embedding" is one of the
// server's, `usher_<kind>_<embedding>`; it is made when the first row comes. Every
// call has a deadline, and fails with Unavailable when the server does not do it.
// It is safe for concurrent use.
type Index struct {
	cfg    Config
	client *api.Client

	making sync.Mutex // one collection is made at a time
	mu     sync.Mutex
	known  map[string]collection // by the server's name
}

// collection is what is known of one, so that it need not be asked for at each search.
type collection struct {
	dim, size int
	ready     bool // its indexes and limits are set
}

// Open returns the index of a server, which need not be there: nothing is sent.
func Open(cfg Config) (*Index, error) {
	cfg = cfg.WithDefaults()
	host := cfg.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	ac := &api.Config{
		Host: host, Port: cfg.Port, UseTLS: cfg.TLS,
		SkipCompatibilityCheck: true, // it would wait for the server
		PoolSize:               1,    // calls share a connection; a pool would not notice a dead one
		KeepAliveTime:          30, KeepAliveTimeout: 5,
		// Everything here may be done twice. The deadline covers the second try too.
		RetryConfig: &api.RetryConfig{MaxRetries: 1, BaseBackoff: 10 * time.Millisecond, MaxBackoff: 20 * time.Millisecond},
		GrpcOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			// A server that was away for an hour is found again within seconds.
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: .2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 2 * time.Second,
		})},
	}
	if cfg.APIKey != "" {
		ac.Headers = map[string]string{"api-key": string(cfg.APIKey)}
	}
	client, err := api.NewClient(ac)
	if err != nil {
		return nil, fmt.Errorf("open qdrant: %w", err)
	}
	return &Index{cfg: cfg, client: client, known: map[string]collection{}}, nil
}

// Close ends the connection.
func (x *Index) Close() error {
	if err := x.client.Close(); err != nil {
		return fmt.Errorf("close qdrant: %w", err)
	}
	return nil
}

// Check asks the server whether it is there, and returns its version.
func (x *Index) Check(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Health)
	defer cancel()
	r, err := x.client.HealthCheck(ctx)
	if err != nil {
		return "", failed("check", err)
	}
	return r.GetVersion(), nil
}

// Upsert puts rows into a collection, replacing those of the same id; a later search
// finds them. A row is found by its full vector, or by its match vector when it has
// no other. InvalidArgument, and nothing done, for a vector that has no direction or
// another dimension than its collection. After another error a part may be done.
func (x *Index) Upsert(ctx context.Context, name string, rows []usher.VectorRow) error {
	if err := ctx.Err(); err != nil || len(rows) == 0 {
		return err
	}
	ids, units := make([]string, len(rows)), make([]usher.Vec, len(rows))
	for i, r := range rows {
		v := r.Vector.Full
		if len(v) == 0 {
			v = r.Vector.Match
		}
		if ids[i], units[i] = r.ID, unit(v); units[i] == nil {
			return usher.Errorf(usher.InvalidArgument, "vector of %q has no direction", r.ID)
		}
		if len(v) != len(units[0]) {
			return usher.Errorf(usher.InvalidArgument, "vector of %q has %d dimensions, that before it %d", r.ID, len(v), len(units[0]))
		}
	}
	return x.put(ctx, x.name(name), ids, units)
}

// put writes vectors of length 1 and of one dimension into a collection of the
// server, which it makes.
func (x *Index) put(ctx context.Context, remote string, ids []string, units []usher.Vec) error {
	if len(ids) == 0 {
		return nil
	}
	c, err := x.ensure(ctx, remote, len(units[0]))
	if err != nil {
		return err
	}
	if c.dim != len(units[0]) {
		return usher.Errorf(usher.InvalidArgument, "vectors have %d dimensions, their collection %d", len(units[0]), c.dim)
	}
	step := max(1, min(batchRows, batchBytes/(4*c.dim+256)))
	for from := 0; from < len(ids); from += step {
		to := min(from+step, len(ids))
		points := make([]*api.PointStruct, 0, to-from)
		for i := from; i < to; i++ {
			points = append(points, &api.PointStruct{
				Id: api.NewIDUUID(pointID(ids[i])), Vectors: api.NewVectorsDense(units[i]),
				Payload: map[string]*api.Value{fieldID: api.NewValueString(ids[i]), fieldHash: api.NewValueString(hash(units[i]))},
			})
		}
		if err := x.call(ctx, "upsert", remote, func(ctx context.Context) error {
			_, err := x.client.Upsert(ctx, &api.UpsertPoints{CollectionName: remote, Wait: new(true), Points: points})
			return err
		}); err != nil {
			return err
		}
		x.learn(remote, func(c *collection) { c.size += to - from })
	}
	return nil
}

// Delete removes ids from a collection; what is not there is no error.
func (x *Index) Delete(ctx context.Context, name string, ids ...string) error {
	points := make([]string, len(ids))
	for i, id := range ids {
		points[i] = pointID(id)
	}
	err := x.remove(ctx, x.name(name), points)
	if absent(err) {
		return nil
	}
	return err
}

// remove takes points out of a collection of the server.
func (x *Index) remove(ctx context.Context, remote string, points []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for some := range slices.Chunk(points, batchRows) {
		ids := make([]*api.PointId, len(some))
		for i, p := range some {
			ids[i] = api.NewIDUUID(p)
		}
		if err := x.call(ctx, "delete", remote, func(ctx context.Context) error {
			_, err := x.client.Delete(ctx, &api.DeletePoints{
				CollectionName: remote, Wait: new(true), Points: api.NewPointsSelectorIDs(ids),
			})
			return err
		}); err != nil {
			return err
		}
		x.learn(remote, func(c *collection) { c.size = max(0, c.size-len(some)) })
	}
	return nil
}

// Search returns the k nearest of a collection by cosine, at most MaxHits, nearest
// first, ties by id. A collection that does not exist is empty. InvalidArgument for a
// vector that has no direction or another dimension than the collection.
func (x *Index) Search(ctx context.Context, name string, v usher.Vec, k int) ([]usher.Hit, error) {
	hits, err := x.search(ctx, x.name(name), v, k)
	if absent(err) {
		return []usher.Hit{}, nil
	}
	return hits, err
}

func (x *Index) search(ctx context.Context, remote string, v usher.Vec, k int) ([]usher.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q := unit(v)
	if q == nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the vector to search for has no direction")
	}
	if k <= 0 {
		return []usher.Hit{}, nil
	}
	k = min(k, MaxHits)
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Search)
	defer cancel()
	c, err := x.look(ctx, remote)
	if err != nil {
		return nil, err
	}
	if len(q) != c.dim {
		return nil, usher.Errorf(usher.InvalidArgument, "the vector to search for has %d dimensions, the collection %d", len(q), c.dim)
	}
	return x.query(ctx, remote, q, k, &api.SearchParams{HnswEf: new(uint64(max(searchWidth, k))), Exact: new(c.size <= exactUpTo)})
}

func (x *Index) query(ctx context.Context, remote string, q usher.Vec, k int, params *api.SearchParams) ([]usher.Hit, error) {
	points, err := x.client.Query(ctx, &api.QueryPoints{
		CollectionName: remote, Query: api.NewQueryDense(q), Limit: new(uint64(k)),
		WithPayload: api.NewWithPayloadInclude(fieldID), Params: params,
	})
	if err != nil {
		return nil, x.failed("search", remote, err)
	}
	hits := make([]usher.Hit, 0, len(points))
	for _, p := range points {
		hits = append(hits, usher.Hit{ID: p.GetPayload()[fieldID].GetStringValue(), Score: p.GetScore()})
	}
	slices.SortFunc(hits, func(a, b usher.Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	return hits, nil
}

// contents returns the points of a collection of the server with the hashes of their
// vectors.
func (x *Index) contents(ctx context.Context, remote string) (map[string]string, error) {
	out := map[string]string{}
	for offset := (*api.PointId)(nil); ; {
		var points []*api.RetrievedPoint
		if err := x.call(ctx, "list", remote, func(ctx context.Context) (err error) {
			points, offset, err = x.client.ScrollAndOffset(ctx, &api.ScrollPoints{
				CollectionName: remote, Offset: offset, Limit: new(uint32(MaxHits)),
				WithPayload: api.NewWithPayloadInclude(fieldHash), WithVectors: api.NewWithVectors(false),
			})
			return err
		}); err != nil {
			return nil, err
		}
		for _, p := range points {
			out[p.GetId().GetUuid()] = p.GetPayload()[fieldHash].GetStringValue()
		}
		if offset == nil {
			x.learn(remote, func(c *collection) { c.size = len(out) })
			return out, nil
		}
	}
}

// count returns how many points a collection of the server has.
func (x *Index) count(ctx context.Context, remote string) (n int, err error) {
	err = x.call(ctx, "count", remote, func(ctx context.Context) error {
		got, err := x.client.Count(ctx, &api.CountPoints{CollectionName: remote, Exact: new(true)})
		n = int(got)
		return err
	})
	return n, err
}

// look returns what a collection of the server is, asking if it is not known.
func (x *Index) look(ctx context.Context, remote string) (collection, error) {
	x.mu.Lock()
	c, ok := x.known[remote]
	x.mu.Unlock()
	if ok {
		return c, nil
	}
	info, err := x.client.GetCollectionInfo(ctx, remote)
	if err != nil {
		return collection{}, x.failed("look at", remote, err)
	}
	c = collection{
		dim:  int(info.GetConfig().GetParams().GetVectorsConfig().GetParams().GetSize()),
		size: int(info.GetPointsCount()),
		// Not set again when it is so: that would wait for the server to build its graph.
		ready: info.GetPayloadSchema()[fieldID] != nil && info.GetConfig().GetStrictModeConfig().GetEnabled(),
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.known[remote] = c
	return c, nil
}

// learn changes what is known of a collection.
func (x *Index) learn(remote string, change func(*collection)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c, ok := x.known[remote]; ok {
		change(&c)
		x.known[remote] = c
	}
}

// forget makes the next call ask what the collections of the server are.
func (x *Index) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.known)
}

// ensure returns a collection of the server, made if it does not exist. Its payload
// index comes first and strict mode after it, so that nothing is ever found by
// looking at all payloads.
func (x *Index) ensure(ctx context.Context, remote string, dim int) (collection, error) {
	x.making.Lock()
	defer x.making.Unlock()
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Write)
	defer cancel()
	c, err := x.look(ctx, remote)
	if err == nil && c.ready {
		return c, nil
	}
	if absent(err) {
		made := x.client.CreateCollection(ctx, &api.CreateCollection{
			CollectionName: remote,
			VectorsConfig:  api.NewVectorsConfig(&api.VectorParams{Size: uint64(dim), Distance: api.Distance_Cosine}),
		})
		if c, err = x.look(ctx, remote); err != nil && made != nil { // else another has made it
			err = made
		}
	}
	if err != nil {
		return collection{}, x.failed("make", remote, err)
	}
	if _, err := x.client.CreateFieldIndex(ctx, &api.CreateFieldIndexCollection{
		CollectionName: remote, Wait: new(true), FieldName: fieldID, FieldType: api.FieldType_FieldTypeKeyword.Enum(),
	}); err != nil {
		return collection{}, x.failed("index payload of", remote, err)
	}
	if err := x.client.UpdateCollection(ctx, &api.UpdateCollection{CollectionName: remote, StrictModeConfig: &api.StrictModeConfig{
		Enabled: new(true), MaxQueryLimit: new(uint32(MaxHits)), SearchMaxHnswEf: new(uint32(MaxHits)),
		UnindexedFilteringRetrieve: new(false), UnindexedFilteringUpdate: new(false),
	}}); err != nil {
		return collection{}, x.failed("limit", remote, err)
	}
	x.learn(remote, func(c *collection) { c.ready = true })
	return c, nil
}

// drop removes a collection of the server.
func (x *Index) drop(ctx context.Context, remote string) error {
	err := x.call(ctx, "drop", remote, func(ctx context.Context) error { return x.client.DeleteCollection(ctx, remote) })
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.known, remote)
	return err
}

// promote lets the alias of a kind lead to a collection of the server, in one step.
// Of the kind's other collections it drops those that are not in keep and that the
// alias did not lead to until now.
func (x *Index) promote(ctx context.Context, kind, remote string, keep []string) error {
	alias := x.cfg.Prefix + "_" + clean(kind)
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Write)
	defer cancel()
	aliases, err := x.client.ListAliases(ctx)
	if err != nil {
		return x.failed("list aliases of", alias, err)
	}
	was := ""
	for _, a := range aliases {
		if a.GetAliasName() == alias {
			was = a.GetCollectionName()
		}
	}
	if was == remote {
		return nil
	}
	actions := []*api.AliasOperations{api.NewAliasCreate(alias, remote)}
	if was != "" {
		actions = slices.Insert(actions, 0, api.NewAliasDelete(alias))
	}
	if err := x.client.UpdateAliases(ctx, actions); err != nil {
		return x.failed("move", alias, err)
	}
	all, err := x.client.ListCollections(ctx)
	if err != nil {
		return x.failed("list collections of", alias, err)
	}
	for _, c := range all {
		if strings.HasPrefix(c, alias+"_") && c != remote && c != was && !slices.Contains(keep, c) {
			if err := x.drop(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// call runs a call that may take the time of a write.
func (x *Index) call(ctx context.Context, what, remote string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Write)
	defer cancel()
	if err := do(ctx); err != nil {
		return x.failed(what, remote, err)
	}
	return nil
}

// failed is an error of the server; a collection that is gone is forgotten.
func (x *Index) failed(what, remote string, err error) error {
	err = failed(what+" "+remote, err)
	if absent(err) {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.known, remote)
	}
	return err
}

func failed(what string, err error) error {
	if _, known := errors.AsType[*usher.Error](err); known {
		return err
	}
	code := usher.Unavailable
	switch status.Code(cause(err)) {
	case codes.NotFound:
		code = usher.NotFound
	case codes.InvalidArgument:
		code = usher.InvalidArgument
	default:
	}
	return usher.Errorf(code, "qdrant could not %s", what).Because(err)
}

// cause is the status of an error of the client, which hides it.
func cause(err error) error {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Err()
	}
	return err
}

func absent(err error) bool { return err != nil && usher.CodeOf(err) == usher.NotFound }

// name is the server's name of a collection "kind:embedding".
func (x *Index) name(collection string) string {
	kind, embedding, _ := strings.Cut(collection, ":")
	return x.cfg.Prefix + "_" + clean(kind) + "_" + clean(cmp.Or(embedding, "none"))
}

// clean makes s a part of a collection's name; different ones stay different.
func clean(s string) string {
	const longest = 80
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
	if safe == s && len(s) <= longest {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return safe[:min(len(safe), longest)] + "-" + hex.EncodeToString(sum[:4])
}

// pointID is the id that the server knows a row by; the row's own is in the payload.
func pointID(id string) string { return uuid.NewSHA1(uuid.NameSpaceOID, []byte("usher/"+id)).String() }

// hash tells vectors apart.
func hash(v usher.Vec) string {
	sum := sha256.Sum256(v.Bytes())
	return hex.EncodeToString(sum[:8])
}

// unit returns a copy of v of length 1, or nil if it has no direction.
func unit(v usher.Vec) usher.Vec {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	scale := 1 / math.Sqrt(sum)
	u := make(usher.Vec, len(v))
	for i, x := range v {
		u[i] = float32(float64(x) * scale)
	}
	return u
}
