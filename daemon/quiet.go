package daemon

import (
	"fmt"
	"os"
	"time"

	"ambit/sandbox"
)

// quietFor is how long nobody has needed the daemon when it is quiet.
const quietFor = 2 * time.Second

// quiet says that no other process of this program is likely to be there.
func (d *Daemon) quiet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sessions) == 0 && time.Since(d.busy) >= quietFor
}

// settle makes later starts faster.
func settle() {
	if _, err := sandbox.HugeProgram(); err != nil {
		fmt.Fprintln(os.Stderr, "ambit daemon: starts stay slower than they could be:", err)
	}
}
