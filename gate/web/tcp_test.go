package web

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"ambit"
)

func TestPlainTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "hello\n")
				io.Copy(c, c)
			}()
		}
	}()
	h := newHouse(t, nil, withCredential, func(_ *house, c *Config) {
		c.Names = nameTable{"127.0.0.1": testHost, "198.18.0.7": "db.example.com"}
		c.Routes = append(c.Routes, Route{Host: "db.example.com", Port: 5432, Scheme: TCP, Service: "db", Kind: "tcp", Dial: ln.Addr().String()})
	})
	addr := h.at("198.18.0.7:5432")
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	c := dial()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello\n" {
		t.Fatalf("the service speaks first: %q %v", buf, err)
	}
	io.WriteString(c, "ping\n")
	if _, err := io.ReadFull(c, buf[:5]); err != nil || string(buf[:5]) != "ping\n" {
		t.Fatalf("echoed %q %v", buf, err)
	}
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
	if e := h.log.lastEnd(t); e.Outcome != ambit.Performed || e.Detail != "5 bytes sent, 11 received" {
		t.Errorf("recorded %v", e)
	}
	for name, first := range map[string][]byte{
		"other SNI":       clientHello(t, "evil.example"),
		"encrypted hello": withExtension(t, clientHello(t, "db.example.com"), echExtension),
		"broken hello":    append([]byte{22, 3, 1, 0, 50, 1, 0, 0, 46}, bytes.Repeat([]byte{0xff}, 46)...),
		"placeholder":     []byte("password " + fakeValue + "\n"),
	} {
		c := dial()
		io.ReadFull(c, buf)
		c.Write(first)
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("%s: echoed %q", name, b)
		}
	}
	hello := clientHello(t, "db.example.com")
	c = dial()
	io.ReadFull(c, buf)
	for i := range hello { // byte by byte
		c.Write(hello[i : i+1])
	}
	back := make([]byte, len(hello))
	if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(back, hello) {
		t.Errorf("the right SNI: %v", err)
	}
}
