package grammar

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/wasilibs/wazero-helpers/allocator"
)

// Bounds of one call into the grammar. Its time is bounded by the size and the
// nesting of its input: code that can be stopped from outside is ten times
// slower.
const (
	maxPages = 1 << 10  // of 64 KiB: 64 MiB of memory
	keepSize = 3 << 20  // bytes of memory above which an instance is not used again
	keepRuns = 100_000  // calls after which an instance is not used again
	cStack   = 64 << 10 // bytes of the C stack, which ends at __heap_base; below it are the code's data
	guard    = 8 << 10  // bytes at the end of the C stack that no call may touch
)

// engine runs libpg_query. One call is made at a time.
type engine struct {
	mu   sync.Mutex
	dir  string
	rt   wazero.Runtime
	code wazero.CompiledModule
	live *instance // nil: the next call makes one

	careful int // how many calls keep the places of setjmp
}

// ready compiles the code when that has not been done. mu is held.
func (e *engine) ready(ctx context.Context) error {
	if e.code != nil {
		return nil
	}
	wasm, err := code()
	if err != nil {
		return err
	}
	cfg := wazero.NewRuntimeConfig().WithMemoryLimitPages(maxPages).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesThreads)
	if e.dir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(e.dir)
		if err != nil {
			return fmt.Errorf("cannot read SQL: cannot keep the compiled grammar in %s: %w", e.dir, err)
		}
		cfg = cfg.WithCompilationCache(cache)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return fmt.Errorf("cannot read SQL: cannot make the grammar ready: %w", err)
	}
	if err := host(ctx, rt); err != nil {
		return fmt.Errorf("cannot read SQL: cannot make the grammar ready: %w", err)
	}
	c, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		return fmt.Errorf("cannot read SQL: cannot compile the grammar: %w", err)
	}
	e.rt, e.code = rt, c
	if giveBack() && e.dir != "" {
		sweep(e.dir, time.Now().Add(-halfLife))
	}
	return nil
}

// halfLife is how old a half that is written must be to be nobody's any more.
const halfLife = time.Hour

// sweep removes what processes that were ended while they kept the compiled code left
// of it. It is never used: what is whole has another name. What cannot be removed stays.
func sweep(dir string, before time.Time) {
	halves, _ := filepath.Glob(filepath.Join(dir, "wazero-*", "*.tmp"))
	for _, p := range halves {
		if fi, err := os.Lstat(p); err == nil && fi.ModTime().Before(before) {
			os.Remove(p)
		}
	}
}

// compiling is more garbage than loading compiled code leaves, in bytes.
const compiling = 64 << 20

// giveBack returns the memory of a compilation to the machine, when there was one. The
// collector would keep 250 MiB for minutes.
func giveBack() (compiled bool) {
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapSys-m.HeapReleased <= compiling {
		return false
	}
	debug.FreeOSMemory()
	return true
}

// instance is one copy of libpg_query with a memory of its own.
type instance struct {
	mod  api.Module
	mem  api.Memory
	fn   map[string]api.Function
	runs int
	low  uint32 // the end of the C stack
	room uint32 // address of resultSize bytes for the result of a call
	in   uint32 // address of inSize bytes for its input
	size uint32
}

const (
	resultSize = 64
	inSize     = 4 << 10
)

// instance returns the live instance or makes one. mu is held.
func (e *engine) instance(ctx context.Context) (*instance, error) {
	if e.live != nil {
		return e.live, nil
	}
	// Outside Go's heap, so that it is given back when the instance goes.
	mctx := experimental.WithMemoryAllocator(ctx, allocator.NewNonMoving())
	mod, err := e.rt.InstantiateModule(mctx, e.code, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, fmt.Errorf("cannot read SQL: cannot make the grammar ready: %w", err)
	}
	i := &instance{mod: mod, mem: mod.Memory(), fn: map[string]api.Function{}}
	i.low = uint32(mod.ExportedGlobal("__heap_base").Get()) - cStack
	if _, err := i.call(ctx, "pg_query_init"); err != nil {
		mod.Close(ctx)
		return nil, fmt.Errorf("cannot read SQL: cannot make the grammar ready: %w", err)
	}
	for at, size := range map[*uint32]uint64{&i.room: resultSize, &i.in: inSize} {
		if *at, err = i.call(ctx, "malloc", size); err != nil || *at == 0 {
			mod.Close(ctx)
			return nil, fmt.Errorf("cannot read SQL: cannot make the grammar ready: no memory: %w", err)
		}
	}
	i.size = inSize
	e.live = i
	return i, nil
}

// drop ends the live instance: the next call has a new one. mu is held.
func (e *engine) drop(ctx context.Context) {
	e.live.mod.Close(ctx)
	e.live = nil
}

func (i *instance) call(ctx context.Context, name string, args ...uint64) (uint32, error) {
	f := i.fn[name]
	if f == nil {
		if f = i.mod.ExportedFunction(name); f == nil {
			return 0, fmt.Errorf("the code has no %s", name)
		}
		i.fn[name] = f
	}
	var room [4]uint64
	stack := room[:max(1, copy(room[:], args))]
	if err := f.CallWithStack(ctx, stack); err != nil {
		return 0, err
	}
	return uint32(stack[0]), nil
}

// spilled says whether a call came near the end of the C stack. Without this,
// a deeply nested statement would overwrite the grammar's own tables, and what
// comes after it would be read by other rules than PostgreSQL's.
func (i *instance) spilled() bool {
	b, ok := i.mem.Read(i.low, guard)
	if !ok {
		return true
	}
	for _, c := range b {
		if c != 0 {
			return true
		}
	}
	return false
}
