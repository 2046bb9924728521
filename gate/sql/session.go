package sql

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
	"ambit/pipeline"
)

// session is one connection of the agent with one to the database. Its goroutine
// takes the agent's messages in order; what it waits for comes by in and by events.
type session struct {
	g     *Gate
	a     *agent
	db    *Database
	login Login
	up    *upstream
	out   *client

	in     chan []frame // the agent's messages; closed when it hung up
	queue  []frame      // taken from in and not handled yet
	readEr error        // why the agent's messages ended, once in is closed
	events chan event   // where executions end; closed with the database's connection

	wbuf     []byte // for the database, not sent yet
	held     []byte // for the database, until an Execute is permitted
	heldPend []pending

	status   byte // of the last ReadyForQuery: 'I', 'T' or 'E'
	sent     bool // something was sent to the database since the last Sync
	skip     bool // what comes is dropped until a Sync
	unsure   bool // settings may have changed since the last Sync, which the database tells at the next
	wrote    bool // the open transaction may have changed something
	inside   bool // it counts as one that the database works for
	apart    bool // a Sync is not sent along with an Execute
	lone     bool // no other session does anything
	executes bool // something was executed since the last Sync
	binds    bool // a portal was bound since then
	stale    bool // rights were taken back that the server may still know

	still *stillness      // of its database
	end   <-chan struct{} // closed when it is over

	mu       sync.Mutex // of what the relay changes too
	pend     []pending  // what the database has yet to confirm
	named    map[string]*prepared
	prepares map[string]*sql.Statement // by SQL
	portals  map[string]*portal
	bound    map[string]struct{} // names that portals may have in the database, but for cursors of SQL
	reading  map[string]string   // the settings of the agent's that decide how values are read
	failed   bool                // the database reported an error since the last Sync
	expect   bool                // somebody waits for events
	swallow  bool                // the next error is for the gate, not for the agent
	own      int                 // as many answers are to a statement of the gate's own

	kept atomic.Int64 // bytes of held messages and of prepared statements
	ran  int          // executions, for the record
}

// client writes to the agent. Messages are whole between two calls.
type client struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (c *client) send(flush bool, ms ...pgproto3.BackendMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range ms {
		b, err := m.Encode(nil)
		if err != nil {
			return err
		}
		if _, err := c.w.Write(b); err != nil {
			return err
		}
	}
	if flush {
		return c.w.Flush()
	}
	return nil
}

// stall is how long an agent may leave what is sent to it unread, before its
// connection is cut.
const stall = 5 * time.Minute

// stalling is a connection whose writes end when nobody reads.
type stalling struct{ net.Conn }

// Write writes within the time.
func (s stalling) Write(b []byte) (int, error) {
	s.SetWriteDeadline(time.Now().Add(stall))
	return s.Conn.Write(b)
}

// serveSession takes a connection that was asked for through the pipeline, as one
// action for as long as it lasts.
func (g *Gate) serveSession(ctx context.Context, cancel context.CancelFunc, a *agent, st startup) {
	if a.db == nil {
		a.refuseStart(ctx, &refusal{code: CodeNoRoute, state: stateRefused, why: "no service of the grants has the name and port " + a.at.String()})
		return
	}
	s := &session{g: g, a: a, db: a.db, still: g.still[a.db], end: ctx.Done(), in: make(chan []frame, 4), events: make(chan event, 4), status: 'I',
		named: map[string]*prepared{}, prepares: map[string]*sql.Statement{}, portals: map[string]*portal{}, bound: map[string]struct{}{}, reading: map[string]string{},
		out: &client{w: bufio.NewWriterSize(stalling{a.conn}, sqlBuffer)}}
	defer func() { s.g.held.Add(-s.kept.Load()) }()
	// Whoever hangs up ends what is under way: that is seen by reading on.
	go s.readAgent(ctx, cancel)
	x := a.connAction()
	x.Args = map[string]string{"database": a.db.Name, "user": printable(st.user, 64)}
	if n := st.settings["application_name"]; n != "" {
		x.Args["program"] = printable(n, 64)
	}
	started := false
	err := g.c.Do.Do(ctx, x, nil, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		l, err := g.c.Login(p.Secret().Reveal())
		if err != nil {
			return ambit.Refused, "the lease cannot be used", &refusal{code: pipeline.CodeNoCredential, state: stateRefused, why: "the credential of the service cannot be used"}
		}
		s.login = l
		// What a login runs it would run with an owner's rights too.
		if err := s.calm(ctx, func() error { s.up, err = g.connect(ctx, s.db, l, st.settings); return err }); err != nil {
			return g.unreached(ctx, p.Action(), err)
		}
		defer g.drop(s.up.Net)
		s.readAs(st.settings)
		started = true
		err = s.serve(ctx)
		return ambit.Performed, s.detail(err), nil
	})
	if !started && ctx.Err() == nil {
		s.refused(ctx, err)
	}
	a.conn.Close()
}

func (s *session) detail(err error) string {
	why := "the agent ended it"
	if err != nil {
		why = err.Error()
	}
	return fmt.Sprintf("%d executions; %s", s.ran, printable(why, 300))
}

// refused tells an agent why there is no session.
func (s *session) refused(ctx context.Context, err error) {
	m := message(stateUpstream, "the connection", CodeUpstream, "nothing was performed", "", 0)
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		s.g.unrecorded(ctx, p)
		m = told(p)
	} else if bad, ok := errors.AsType[*refusal](err); ok {
		m = message(bad.state, "the connection", bad.code, bad.why, bad.instead, 0)
	}
	m.Severity, m.SeverityUnlocalized = "FATAL", "FATAL"
	_ = s.out.send(true, m)
}

// readAgent hands the agent's messages over, a few ahead.
func (s *session) readAgent(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	defer close(s.in)
	r := &frameReader{r: s.a.r, limits: &s.g.c.Limits, take: s.take}
	for {
		fs, err := r.batch()
		if len(fs) > 0 {
			select {
			case s.in <- fs:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			if _, bad := errors.AsType[*errProtocol](err); bad {
				s.readEr = err
				s.wait(ctx) // its answer goes out before the connection ends
			}
			return
		}
	}
}

// wait leaves the connection open until the session has told the agent what was
// wrong with its last message.
func (s *session) wait(ctx context.Context) {
	select {
	case s.in <- []frame{{kind: 0}}:
		<-ctx.Done()
	case <-ctx.Done():
	}
}

// take counts bytes that are kept for the agent; false when its task keeps too many.
func (s *session) take(n int) bool {
	if s.g.held.Add(int64(n)) > s.g.c.Limits.Held {
		s.g.held.Add(int64(-n))
		return false
	}
	s.kept.Add(int64(n))
	return true
}

func (s *session) give(n int) {
	s.g.held.Add(int64(-n))
	s.kept.Add(int64(-n))
}

// next is the agent's next message.
func (s *session) next() (frame, bool) {
	for len(s.queue) == 0 {
		fs, ok := <-s.in
		if !ok {
			return frame{}, false
		}
		s.queue = fs
	}
	f := s.queue[0]
	s.queue = s.queue[1:]
	return f, true
}

// upcoming is the kind of the message that has come with the last one; 0 for none.
func (s *session) upcoming() byte {
	if len(s.queue) == 0 {
		return 0
	}
	return s.queue[0].kind
}

// serve welcomes the agent and takes its messages until one of the three ends.
func (s *session) serve(ctx context.Context) error {
	k := s.g.enlist(s)
	defer s.g.delist(k)
	if err := s.welcome(k); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.relay() }()
	cut := sync.OnceFunc(func() { s.up.Net.SetDeadline(time.Unix(1, 0)) }) // ends the relay, and what is being written
	defer func() {
		cut()
		for range s.events {
		}
		<-ended
		s.outlived()
		s.up.Net.Close()
		s.rest()
	}()
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	for {
		f, ok := s.next()
		if !ok {
			return nil
		}
		err := s.handle(ctx, f)
		if len(f.body) > maxSmall {
			s.give(len(f.body))
		}
		if bad, ok := errors.AsType[*refusal](err); ok && bad.state == stateMemory {
			return s.fatal(ctx, bad)
		}
		switch {
		case errors.Is(err, errTerminate):
			return nil
		case err != nil:
			return err
		}
	}
}

// errTerminate ends a session as its agent wants.
var errTerminate = errors.New("the agent ended it")

// welcome tells the agent what the database said of itself, with numbers of the
// gate's own for a CancelRequest.
func (s *session) welcome(k cancelKey) error {
	ms := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}}
	for name, v := range s.up.Params {
		ms = append(ms, &pgproto3.ParameterStatus{Name: name, Value: v})
	}
	ms = append(ms, &pgproto3.BackendKeyData{ProcessID: k.pid, SecretKey: binary.BigEndian.AppendUint32(nil, k.key)}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	return s.out.send(true, ms...)
}

// handle takes one message. An error ends the session.
func (s *session) handle(ctx context.Context, f frame) error {
	if f.kind != 'S' && f.kind != 'X' && f.kind != 0 && (s.skip || s.sent && s.hasFailed()) {
		return nil // the database skips it too
	}
	if (f.kind == 'Q' || f.kind == 'F') && s.sent {
		if skips, err := s.settle(); skips || err != nil {
			return err
		}
	}
	if s.stale && f.kind != 'X' && f.kind != 0 {
		if err := s.freshen(); err != nil {
			return err
		}
	}
	switch f.kind {
	case 0:
		return s.fatal(ctx, badProtocol(s.readEr.Error()))
	case 'Q':
		return s.query(ctx, f.body)
	case 'P':
		return s.parse(ctx, f.body)
	case 'B':
		return s.bind(ctx, f.body)
	case 'D':
		return s.describe(ctx, f)
	case 'C':
		return s.closeName(ctx, f)
	case 'E':
		return s.execute(ctx, f.body)
	case 'H':
		return s.flushed(ctx)
	case 'S':
		return s.sync(ctx)
	case 'd', 'c', 'f':
		return nil // of a COPY that has failed (section 53.2.6)
	case 'F':
		// A call by a function's number, which no statement shows.
		bad := notUnderstood("a function is called by its number (FunctionCall): nobody can read what it does")
		bad.what = "a function call"
		return s.stop(ctx, bad, true)
	case 'X':
		return errTerminate
	}
	return s.fatal(ctx, badProtocol(fmt.Sprintf("there is no message of type %q", f.kind)))
}

// fatal tells the agent why its connection ends.
func (s *session) fatal(ctx context.Context, bad *refusal) error {
	m := s.g.refuse(ctx, s.a.connAction(), bad)
	m.Severity, m.SeverityUnlocalized = "FATAL", "FATAL"
	_ = s.out.send(true, m)
	return bad
}

// decoded reads a message and makes sure that it has no other reading: what is sent
// on is its own encoding.
func decoded(m pgproto3.FrontendMessage, kind byte, body []byte) ([]byte, *refusal) {
	if err := m.Decode(body); err != nil {
		return nil, badProtocol(fmt.Sprintf("the message of type %q is not in order", kind))
	}
	b, err := m.Encode(nil)
	if err != nil || len(b) != len(body)+headerSize || string(b[headerSize:]) != string(body) {
		return nil, badProtocol(fmt.Sprintf("the message of type %q can be read in two ways", kind))
	}
	return b, nil
}

// write sends what was gathered to the database.
func (s *session) write() error {
	if len(s.wbuf) == 0 {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	_, err := s.up.Net.Write(s.wbuf)
	if s.wbuf = s.wbuf[:0]; cap(s.wbuf) > maxSmall {
		s.wbuf = nil
	}
	if err != nil {
		return &dialError{err}
	}
	return nil
}
