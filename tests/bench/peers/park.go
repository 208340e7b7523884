// SPDX-License-Identifier: BSD-3-Clause

// What a goroutine of Go costs: the peer of `parklane bench park`, which builds and runs it.
// Prints "key value" lines, one sample of each; the same patterns as apps/park*.c. With the
// argument "mem N", the memory of N goroutines that are blocked on a channel instead.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	ops      = 1 << 20
	yielders = 64
	batch    = 63
	pipeOps  = 1 << 15
)

func say(key string, began time.Time, n int) {
	fmt.Printf("%s %.3f\n", key, float64(time.Since(began).Nanoseconds())/float64(n))
}

func yield() {
	left, alive := ops, yielders
	done := make(chan bool)
	began := time.Now()
	for i := 0; i < yielders; i++ {
		go func() {
			for left > 0 {
				left--
				runtime.Gosched()
			}
			alive--
			if alive == 0 {
				close(done)
			}
		}()
	}
	<-done
	say("yield_ns", began, ops)
}

func channel() {
	c := make(chan int)
	done := make(chan bool)
	go func() {
		for n := 0; n < ops; n++ {
			<-c
		}
		close(done)
	}()
	began := time.Now()
	for n := 0; n < ops; n++ {
		c <- n
	}
	<-done
	say("chan_ns", began, ops)
}

func spawn() {
	alive := 0
	began := time.Now()
	for n := 0; n < ops; n++ {
		alive++
		go func() { alive-- }()
		if n%batch == batch-1 {
			for alive > 0 {
				runtime.Gosched()
			}
		}
	}
	say("spawn_ns", began, ops)
}

func bounce(r, w *os.File, first bool, done chan bool) {
	b := []byte{'p'}
	for n := 0; n < pipeOps; n++ {
		if first {
			w.Write(b)
		}
		r.Read(b)
		if !first {
			w.Write(b)
		}
	}
	done <- true
}

func pipe() {
	r1, w1, err := os.Pipe()
	if err != nil {
		return
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		return
	}
	done := make(chan bool, 2)
	began := time.Now()
	go bounce(r1, w2, false, done)
	go bounce(r2, w1, true, done)
	<-done
	<-done
	say("pipe_ns", began, 2*pipeOps)
}

func memory() (kb float64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) > 1 && (w[0] == "VmRSS:" || w[0] == "VmPTE:") {
			v, _ := strconv.ParseFloat(w[1], 64)
			kb += v
		}
	}
	return kb
}

func blocked(n int) {
	never := make(chan bool)
	before := memory()
	for i := 0; i < n; i++ {
		go func() { <-never }()
	}
	time.Sleep(100 * time.Millisecond)
	runtime.Gosched()
	fmt.Printf("bytes_per_parked_g %.1f\n", (memory()-before)*1024/float64(n))
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) == 3 && os.Args[1] == "mem" {
		n, _ := strconv.Atoi(os.Args[2])
		blocked(n)
		return
	}
	yield()
	channel()
	spawn()
	pipe()
}
