package qdrant_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	api "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"usher/internal/qdrant"
)

// fake is the few calls of a server that an Index makes, over real gRPC.
type fake struct {
	api.UnimplementedQdrantServer
	addr string

	mu          sync.Mutex
	grpc        *grpc.Server
	collections map[string]*fakeCollection
	aliases     map[string]string
	hang        bool // nothing but health checks is answered
	calls       map[string]int
	written     int // points
	keys        map[string]bool
	hung        int
}

type fakeCollection struct {
	dim    int
	schema map[string]*api.PayloadSchemaInfo
	strict *api.StrictModeConfig
	points map[string]*api.PointStruct
}

type (
	fakePoints struct {
		api.UnimplementedPointsServer
		*fake
	}
	fakeCollections struct {
		api.UnimplementedCollectionsServer
		*fake
	}
)

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{collections: map[string]*fakeCollection{}, aliases: map[string]string{}, calls: map[string]int{}, keys: map[string]bool{}, addr: "127.0.0.1:0"}
	f.start(t)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start(t testing.TB) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	f.grpc = grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		f.mu.Lock()
		f.calls[info.FullMethod]++
		md, _ := metadata.FromIncomingContext(ctx)
		for _, k := range md.Get("api-key") {
			f.keys[k] = true
		}
		hang := f.hang && info.FullMethod != api.Qdrant_HealthCheck_FullMethodName
		if hang {
			f.hung++
		}
		f.mu.Unlock()
		if hang {
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return next(ctx, req)
	}))
	api.RegisterQdrantServer(f.grpc, f)
	api.RegisterPointsServer(f.grpc, fakePoints{fake: f})
	api.RegisterCollectionsServer(f.grpc, fakeCollections{fake: f})
	s := f.grpc
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("fake server: %v", err)
		}
	}()
	t.Cleanup(func() { s.Stop(); <-done })
}

func (f *fake) stop() { f.grpc.Stop() }

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) config(t testing.TB) qdrant.Config {
	t.Helper()
	return at(t, f.addr)
}

func (*fake) HealthCheck(context.Context, *api.HealthCheckRequest) (*api.HealthCheckReply, error) {
	return &api.HealthCheckReply{Title: "qdrant", Version: "1.18.3"}, nil
}

func (f *fake) at(name string) (*fakeCollection, error) {
	c := f.collections[cmp.Or(f.aliases[name], name)]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "Collection `%s` doesn't exist!", name)
	}
	return c, nil
}

func (f fakeCollections) Get(_ context.Context, r *api.GetCollectionInfoRequest) (*api.GetCollectionInfoResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	return &api.GetCollectionInfoResponse{Result: &api.CollectionInfo{
		PointsCount: new(uint64(len(c.points))), PayloadSchema: maps.Clone(c.schema),
		Config: &api.CollectionConfig{StrictModeConfig: c.strict, Params: &api.CollectionParams{VectorsConfig: api.NewVectorsConfig(&api.VectorParams{Size: uint64(c.dim)})}},
	}}, nil
}

func (f fakeCollections) List(context.Context, *api.ListCollectionsRequest) (*api.ListCollectionsResponse, error) {
	out := &api.ListCollectionsResponse{}
	for _, n := range slices.Sorted(maps.Keys(f.collections)) {
		out.Collections = append(out.Collections, &api.CollectionDescription{Name: n})
	}
	return out, nil
}

func (f fakeCollections) Create(_ context.Context, r *api.CreateCollection) (*api.CollectionOperationResponse, error) {
	if f.collections[r.GetCollectionName()] != nil {
		return nil, status.Error(codes.AlreadyExists, "it exists")
	}
	if r.GetVectorsConfig().GetParams().GetDistance() != api.Distance_Cosine {
		return nil, status.Error(codes.InvalidArgument, "the fake knows cosine only")
	}
	f.collections[r.GetCollectionName()] = &fakeCollection{
		dim: int(r.GetVectorsConfig().GetParams().GetSize()), schema: map[string]*api.PayloadSchemaInfo{}, points: map[string]*api.PointStruct{},
	}
	return &api.CollectionOperationResponse{Result: true}, nil
}

func (f fakeCollections) Update(_ context.Context, r *api.UpdateCollection) (*api.CollectionOperationResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	if len(c.schema) == 0 {
		return nil, status.Error(codes.FailedPrecondition, "strict before the payload index")
	}
	c.strict = r.GetStrictModeConfig()
	return &api.CollectionOperationResponse{Result: true}, nil
}

func (f fakeCollections) Delete(_ context.Context, r *api.DeleteCollection) (*api.CollectionOperationResponse, error) {
	delete(f.collections, r.GetCollectionName())
	maps.DeleteFunc(f.aliases, func(_, to string) bool { return to == r.GetCollectionName() })
	return &api.CollectionOperationResponse{Result: true}, nil
}

func (f fakeCollections) ListAliases(context.Context, *api.ListAliasesRequest) (*api.ListAliasesResponse, error) {
	out := &api.ListAliasesResponse{}
	for a, c := range f.aliases {
		out.Aliases = append(out.Aliases, &api.AliasDescription{AliasName: a, CollectionName: c})
	}
	return out, nil
}

func (f fakeCollections) UpdateAliases(_ context.Context, r *api.ChangeAliases) (*api.CollectionOperationResponse, error) {
	for _, a := range r.GetActions() {
		if d := a.GetDeleteAlias(); d != nil {
			delete(f.aliases, d.GetAliasName())
		}
		if c := a.GetCreateAlias(); c != nil {
			if f.collections[c.GetCollectionName()] == nil || f.aliases[c.GetAliasName()] != "" {
				return nil, status.Error(codes.InvalidArgument, "such an alias cannot be")
			}
			f.aliases[c.GetAliasName()] = c.GetCollectionName()
		}
	}
	return &api.CollectionOperationResponse{Result: true}, nil
}

func (f fakePoints) CreateFieldIndex(_ context.Context, r *api.CreateFieldIndexCollection) (*api.PointsOperationResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	c.schema[r.GetFieldName()] = &api.PayloadSchemaInfo{DataType: api.PayloadSchemaType_Keyword}
	return &api.PointsOperationResponse{}, nil
}

func (f fakePoints) Upsert(_ context.Context, r *api.UpsertPoints) (*api.PointsOperationResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	for _, p := range r.GetPoints() {
		if len(vectorOf(p)) != c.dim {
			return nil, status.Error(codes.InvalidArgument, "vector dimension error")
		}
	}
	for _, p := range r.GetPoints() {
		c.points[p.GetId().GetUuid()] = p
		f.written++
	}
	return &api.PointsOperationResponse{}, nil
}

func vectorOf(p *api.PointStruct) []float32 { return p.GetVectors().GetVector().GetDense().GetData() }

func (f fakePoints) Delete(_ context.Context, r *api.DeletePoints) (*api.PointsOperationResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	for _, id := range r.GetPoints().GetPoints().GetIds() {
		delete(c.points, id.GetUuid())
	}
	return &api.PointsOperationResponse{}, nil
}

func (f fakePoints) Count(_ context.Context, r *api.CountPoints) (*api.CountResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	return &api.CountResponse{Result: &api.CountResult{Count: uint64(len(c.points))}}, nil
}

func (f fakePoints) Query(_ context.Context, r *api.QueryPoints) (*api.QueryResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	if r.GetLimit() > uint64(c.strict.GetMaxQueryLimit()) || r.GetParams().GetHnswEf() > uint64(c.strict.GetSearchMaxHnswEf()) {
		return nil, status.Error(codes.InvalidArgument, "beyond strict mode")
	}
	q := r.GetQuery().GetNearest().GetDense().GetData()
	out := &api.QueryResponse{}
	for _, p := range c.points {
		score := float32(0)
		for i, x := range vectorOf(p) {
			score += x * q[i]
		}
		out.Result = append(out.Result, &api.ScoredPoint{Id: p.GetId(), Payload: p.GetPayload(), Score: score})
	}
	slices.SortFunc(out.Result, func(a, b *api.ScoredPoint) int { return cmp.Compare(b.GetScore(), a.GetScore()) })
	out.Result = out.Result[:min(len(out.Result), int(r.GetLimit()))]
	return out, nil
}

func (f fakePoints) Scroll(_ context.Context, r *api.ScrollPoints) (*api.ScrollResponse, error) {
	c, err := f.at(r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	out := &api.ScrollResponse{}
	for _, id := range slices.Sorted(maps.Keys(c.points)) {
		if id < r.GetOffset().GetUuid() {
			continue
		}
		if len(out.Result) == min(int(r.GetLimit()), 7) { // small pages, so that there are several
			out.NextPageOffset = api.NewIDUUID(id)
			break
		}
		out.Result = append(out.Result, &api.RetrievedPoint{Id: c.points[id].GetId(), Payload: c.points[id].GetPayload()})
	}
	return out, nil
}
