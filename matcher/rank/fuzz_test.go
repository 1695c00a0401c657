package rank_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"usher"
	"usher/matcher/rank"
)

// tape turns fuzzed bytes into choices; when they run out, everything is 0.
type tape struct{ raw []byte }

func (t *tape) Uint64() uint64 {
	var b [8]byte
	n := copy(b[:], t.raw)
	t.raw = t.raw[n:]
	return binary.LittleEndian.Uint64(b[:])
}

func (t *tape) float() float64 { return math.Float64frombits(t.Uint64()) }

// FuzzRank: whatever the numbers, the order is total and the search exact, terms
// sum to scores, and no ranking depends on the order in which agents came.
func FuzzRank(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN())))
	f.Add(uint64(3), binary.LittleEndian.AppendUint64(make([]byte, 40), math.Float64bits(math.Inf(1))))
	f.Add(uint64(99), []byte("any agent may be asked, but not all of them at once, and never twice"))
	f.Fuzz(func(t *testing.T, seed uint64, raw []byte) {
		w := world{rand.New(rand.NewPCG(seed, 11))}
		n := 1 + w.IntN(20)
		seats := w.floor(n)
		q := w.query(n)
		in := &tape{raw}
		for range min(len(raw)/8, 12) {
			s := &seats[w.IntN(n)]
			switch w.IntN(9) {
			case 0:
				s.agent.Prior[0] = in.float()
			case 1:
				s.load.Slowness = in.float()
			case 2:
				s.agent.Units, s.load.Used = int(in.Uint64()), int(in.Uint64())
			case 3:
				q.Value, q.ProfileScale, q.ProfileMean = in.float(), in.float(), in.float()
			case 4:
				q.Intents = []float64{in.float(), in.float(), in.float(), in.float(), in.float(), in.float(), in.float()}
			case 5:
				q.Weights = rank.Weights{Fit: in.float(), Load: in.float(), Sticky: in.float(), Idle: in.float(), Profile: in.float(), Slowness: in.float()}
			case 6:
				if len(s.agent.Vector) > 0 {
					s.agent.Vector[0] = float32(in.float())
				}
			case 7:
				q.LanguageProbability, q.Units = in.float(), int(in.Uint64())
			case 8:
				q.Require = append(q.Require, usher.SkillLevel{Name: "repair", Level: int(in.Uint64())})
			}
		}
		table := tabled(seats)
		var r rank.Result
		table.Rank(q, &r)
		want := rank.Exhaustive(table, q)
		want = want[:min(q.Top, len(want))]
		for i, row := range r.Order {
			if i >= len(want) || row != want[i] {
				t.Fatalf("place %d: search %+v, exhaustive %+v", i, row, want)
			}
			var sum usher.Micro
			for _, v := range row.Terms {
				sum += v
			}
			if sum != row.Score {
				t.Fatalf("terms of %s sum to %d, score %d", row.AgentID, sum, row.Score)
			}
			if i > 0 && (row.Score > r.Order[i-1].Score || row.Score == r.Order[i-1].Score && row.AgentID <= r.Order[i-1].AgentID) {
				t.Fatalf("place %d is better than the one before", i)
			}
			if q := row.Details[rank.TermFit]; !(q >= 0 && q <= 1+1e-9) {
				t.Fatalf("%s resolves with probability %v", row.AgentID, q)
			}
		}
		if len(r.Order) != len(want) {
			t.Fatalf("%d places, want %d", len(r.Order), len(want))
		}
		backwards := rank.NewTable(worldLabels)
		for i := range seats {
			backwards.Put(seats[len(seats)-1-i].agent, seats[len(seats)-1-i].load)
		}
		var again rank.Result
		backwards.Rank(q, &again)
		for i := range again.Order {
			if again.Order[i] != r.Order[i] {
				t.Fatalf("place %d depends on the order of agents: %+v, %+v", i, r.Order[i], again.Order[i])
			}
		}
	})
}
