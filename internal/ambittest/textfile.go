package ambittest

import (
	"io"
	"io/fs"
	"strings"
	"time"
)

// textFile is a file in memory, for making module archives.
type textFile struct{ name, text string }

func (f textFile) Path() string                 { return f.name }
func (f textFile) Lstat() (fs.FileInfo, error)  { return f, nil }
func (f textFile) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(f.text)), nil }
func (f textFile) Name() string                 { return f.name }
func (f textFile) Size() int64                  { return int64(len(f.text)) }
func (f textFile) Mode() fs.FileMode            { return 0o644 }
func (f textFile) ModTime() time.Time           { return time.Time{} }
func (f textFile) IsDir() bool                  { return false }
func (f textFile) Sys() any                     { return nil }
