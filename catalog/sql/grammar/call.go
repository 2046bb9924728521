package grammar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/tetratelabs/wazero/experimental"
)

// SyntaxError is what the grammar says of a text that is not in it.
type SyntaxError struct {
	Message string // in PostgreSQL's words
}

// Error returns PostgreSQL's message.
func (e *SyntaxError) Error() string { return "cannot read SQL: " + e.Message }

// ErrTooMuch is the refusal of a text that is over a bound.
var ErrTooMuch = errors.New("cannot read SQL: the text is too large, too deeply nested or takes too long to read; split it")

const maxMessage = 200

var errMemory = errors.New("the code points outside its memory")

// with lends an instance to do, in haste: keeping the places of setjmp(3) costs more than
// reading a statement, and only a text with an error needs them. Such a text is done
// again in another instance, and with care, as those that come after it.
func (e *engine) with(do func(ctx context.Context, i *instance) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx := context.Background()
	if err := e.ready(ctx); err != nil {
		return err
	}
	if e.careful == 0 {
		err := e.once(context.WithValue(ctx, jumpsKey{}, &jumps{hasty: true}), do)
		if !errors.Is(err, errHasty) {
			return err
		}
		e.careful = careful
	}
	e.careful--
	err := e.once(context.WithValue(experimental.WithSnapshotter(ctx), jumpsKey{}, &jumps{}), do)
	if err != nil {
		e.careful = careful
	}
	return err
}

// careful is for how many texts after an error places are kept: who made one
// mistake makes another, and a new instance takes some milliseconds.
const careful = 200

// once lends the live instance. An instance in which anything went wrong but a
// syntax error is never used again: what a trap leaves behind would make it
// read later statements wrongly. mu is held.
func (e *engine) once(ctx context.Context, do func(ctx context.Context, i *instance) error) (err error) {
	i, err := e.instance(context.Background())
	if err != nil {
		return err
	}
	clean := false
	defer func() {
		if recover() != nil {
			err = ErrTooMuch
		}
		i.runs++
		spilled := clean && i.spilled()
		if spilled {
			err = ErrTooMuch
		}
		if !clean || spilled || i.runs >= keepRuns || i.mem.Size() > keepSize {
			e.drop(ctx)
			if !errors.Is(err, errHasty) {
				debug.FreeOSMemory() // deep nesting leaves large stacks behind
			}
		}
	}()
	err = do(ctx, i)
	var syntax *SyntaxError
	if clean = err == nil || errors.As(err, &syntax); !clean {
		err = fmt.Errorf("%w (%w)", ErrTooMuch, err)
	}
	return err
}

// parse returns the tree of the text as a protobuf message "ParseResult".
func (e *engine) parse(text string) (tree []byte, err error) {
	err = e.with(func(ctx context.Context, i *instance) error {
		// PgQueryProtobufParseResult: length, data, stderr, error
		return i.exchange(ctx, []byte(text), 12, "pg_query_parse_protobuf", "pg_query_free_protobuf_parse_result",
			func(result, text uint32) (uint64, error) { return uint64(text), nil },
			func(result uint32) (err error) {
				n, ok1 := i.mem.ReadUint32Le(result)
				at, ok2 := i.mem.ReadUint32Le(result + 4)
				b, ok3 := i.mem.Read(at, n)
				if !ok1 || !ok2 || !ok3 {
					return errMemory
				}
				tree = bytes.Clone(b)
				return nil
			})
	})
	return tree, err
}

// deparse writes the text of a tree.
func (e *engine) deparse(tree []byte) (text string, err error) {
	err = e.with(func(ctx context.Context, i *instance) error {
		// PgQueryDeparseResult: query, error
		return i.exchange(ctx, tree, 4, "pg_query_deparse_protobuf", "pg_query_free_deparse_result",
			func(result, data uint32) (uint64, error) { // PgQueryProtobuf: length, data; kept behind the result
				if !i.mem.WriteUint32Le(result+8, uint32(len(tree))) || !i.mem.WriteUint32Le(result+12, data) {
					return 0, errMemory
				}
				return uint64(result + 8), nil
			},
			func(result uint32) (err error) {
				at, ok := i.mem.ReadUint32Le(result)
				if !ok {
					return errMemory
				}
				text, err = i.text(at)
				return err
			})
	})
	return text, err
}

// exchange calls a function of pg_query.h whose result has a pointer to an
// error at errorAt, with what arg makes of the input.
func (i *instance) exchange(ctx context.Context, input []byte, errorAt uint32, name, free string,
	arg func(result, input uint32) (uint64, error), read func(result uint32) error) error {
	if err := i.give(ctx, input); err != nil {
		return err
	}
	a, err := arg(i.room, i.in)
	if err != nil {
		return err
	}
	if _, err := i.call(ctx, name, uint64(i.room), a); err != nil {
		return err
	}
	at, ok := i.mem.ReadUint32Le(i.room + errorAt)
	if !ok {
		return errMemory
	}
	if at != 0 {
		err = i.syntaxError(at)
	} else {
		err = read(i.room)
	}
	if _, ferr := i.call(ctx, free, uint64(i.room)); ferr != nil {
		return ferr
	}
	return err
}

// give puts the input, and a NUL, where the code reads it.
func (i *instance) give(ctx context.Context, input []byte) error {
	if n := uint32(len(input)) + 1; n > i.size {
		if _, err := i.call(ctx, "free", uint64(i.in)); err != nil {
			return err
		}
		at, err := i.call(ctx, "malloc", uint64(n))
		if err != nil {
			return err
		}
		if at == 0 {
			return errMemory
		}
		i.in, i.size = at, n
	}
	if !i.mem.Write(i.in, input) || !i.mem.WriteByte(i.in+uint32(len(input)), 0) {
		return errMemory
	}
	return nil
}

// syntaxError reads a PgQueryError, whose first field is the message.
func (i *instance) syntaxError(at uint32) error {
	message, ok := i.mem.ReadUint32Le(at)
	if !ok {
		return errMemory
	}
	s, err := i.text(message)
	if err != nil {
		return err
	}
	if len(s) > maxMessage { // it may quote all of the text
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return &SyntaxError{s}
}

// text reads a C string.
func (i *instance) text(at uint32) (string, error) {
	b, ok := i.mem.Read(at, i.mem.Size()-min(at, i.mem.Size()))
	n := bytes.IndexByte(b, 0)
	if !ok || at == 0 || n < 0 {
		return "", errMemory
	}
	return string(b[:n]), nil
}
