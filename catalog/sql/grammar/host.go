package grammar

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// hostModule is the name under which WASIX programs ask for what WASI lacks.
const hostModule = "wasix_32v1"

// jumps are the places that setjmp(3) noted during one call: PostgreSQL reports
// its errors by jumping back to one.
type jumps struct {
	points []jump
	hasty  bool // places are not kept, because a text without errors jumps to none
}

type jump struct {
	snapshot experimental.Snapshot
	result   uint32 // where the value of setjmp goes
	sp       uint32
	stack    []byte // the C stack above sp
}

type jumpsKey struct{}

// maxJumps bounds the places that one call may note; a parse notes two or three.
const maxJumps = 64

var (
	errJump  = errors.New("a jump that was never prepared")
	errHasty = errors.New("a jump to a place that was not kept")
)

// host makes the functions that the code imports. Only setjmp and longjmp do
// something: there are no threads, signals or files.
func host(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(hostModule)
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	export := func(name string, f api.GoModuleFunc, params, results []api.ValueType) {
		b.NewFunctionBuilder().WithGoModuleFunction(f, params, results).Export(name)
	}
	for name, params := range map[string]int{"futex_wait": 4, "futex_wake": 2, "futex_wake_all": 2, "thread_signal": 2, "proc_id": 1} {
		export(name, trap, types(i32, params), types(i32, 1))
	}
	export("callback_signal", trap, types(i32, 2), nil)
	export("thread_exit", trap, types(i32, 1), nil)
	export("stack_checkpoint", checkpoint, types(i32, 2), types(i32, 1))
	export("stack_restore", restore, []api.ValueType{i32, i64}, nil)
	_, err := b.Instantiate(ctx)
	return err
}

func types(t api.ValueType, n int) []api.ValueType {
	out := make([]api.ValueType, n)
	for i := range out {
		out[i] = t
	}
	return out
}

func trap(context.Context, api.Module, []uint64) {
	panic(errors.New("a call that parsing does not need"))
}

// checkpoint is setjmp: it keeps where the code is, and the C stack above.
func checkpoint(ctx context.Context, m api.Module, args []uint64) {
	j, ok := ctx.Value(jumpsKey{}).(*jumps)
	if !ok || len(j.points) >= maxJumps {
		panic(errJump)
	}
	if j.hasty {
		if !m.Memory().WriteUint64Le(uint32(args[1]), 0) {
			panic(errJump)
		}
		args[0] = 0
		return
	}
	at, result := uint32(args[0]), uint32(args[1])
	sp := uint32(m.ExportedGlobal("__stack_pointer").Get())
	top := uint32(m.ExportedGlobal("__heap_base").Get())
	stack, ok := m.Memory().Read(sp, top-sp)
	if !ok || !m.Memory().WriteUint64Le(at, uint64(len(j.points))) || !m.Memory().WriteUint64Le(result, 0) {
		panic(errJump)
	}
	j.points = append(j.points, jump{experimental.GetSnapshotter(ctx).Snapshot(), result, sp, append([]byte(nil), stack...)})
	args[0] = 0
}

// restore is longjmp.
func restore(ctx context.Context, m api.Module, args []uint64) {
	j, ok := ctx.Value(jumpsKey{}).(*jumps)
	if !ok {
		panic(errJump)
	}
	if j.hasty {
		panic(errHasty)
	}
	n, ok := m.Memory().ReadUint64Le(uint32(args[0]))
	if !ok || n >= uint64(len(j.points)) {
		panic(errJump)
	}
	p := j.points[n]
	sp, ok := m.ExportedGlobal("__stack_pointer").(api.MutableGlobal)
	if !ok || !m.Memory().Write(p.sp, p.stack) || !m.Memory().WriteUint64Le(p.result, args[1]) {
		panic(errJump)
	}
	sp.Set(uint64(p.sp))
	p.snapshot.Restore([]uint64{0})
}
