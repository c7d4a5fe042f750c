// Goroutines, channels, garbage collection, and preemption of a loop that never calls anything.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pipeline sends numbers through a chain of goroutines that each add one.
func pipeline(length, numbers int) int {
	first := make(chan int)
	in := first
	for i := 0; i < length; i++ {
		out := make(chan int)
		go func(in <-chan int, out chan<- int) {
			for number := range in {
				out <- number + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	go func() {
		for i := 0; i < numbers; i++ {
			first <- i
		}
		close(first)
	}()
	sum := 0
	for number := range in {
		sum += number
	}
	return sum
}

type node struct {
	left, right *node
	payload     [3]int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1), payload: [3]int{depth}}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// collect builds trees on several goroutines while the collector runs, and counts their nodes.
func collect() int {
	debug.SetGCPercent(20)
	var total int64
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 10; round++ {
				atomic.AddInt64(&total, int64(tree(12).count()))
			}
		}()
	}
	group.Wait()
	return int(total)
}

// preempt starts more endless loops than there are processors: main runs on only if they are
// preempted.
func preempt() bool {
	var stop int32
	var spun int64
	var group sync.WaitGroup
	for i := 0; i < 2*runtime.GOMAXPROCS(0); i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			var n int64
			for atomic.LoadInt32(&stop) == 0 {
				n++
			}
			atomic.AddInt64(&spun, n)
		}()
	}
	time.Sleep(30 * time.Millisecond)
	atomic.StoreInt32(&stop, 1)
	group.Wait()
	return spun > 0
}

// nilFault turns a SIGSEGV into a panic and recovers.
func nilFault() (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	var n *node
	return fmt.Sprint(n.payload)
}

func signals() string {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	return (<-c).String()
}

// timers sleeps in many goroutines; they wake up in the order of their times.
func timers() string {
	var mutex sync.Mutex
	var order []string
	var group sync.WaitGroup
	for _, ms := range []int{300, 10, 150} {
		group.Add(1)
		go func(ms int) {
			defer group.Done()
			time.Sleep(time.Duration(ms) * time.Millisecond)
			mutex.Lock()
			order = append(order, fmt.Sprint(ms))
			mutex.Unlock()
		}(ms)
	}
	group.Wait()
	return strings.Join(order, " ")
}

func files() string {
	names := []string{"b", "a", "c"}
	dir, err := os.MkdirTemp("", "go")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	for _, name := range names {
		if err := os.WriteFile(dir+"/"+name, []byte(name), 0o644); err != nil {
			return err.Error()
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	sort.Strings(found)
	return strings.Join(found, " ")
}

func main() {
	fmt.Println("pipeline", pipeline(100, 1000))
	fmt.Println("collected", collect())
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("collections", stats.NumGC > 3)
	fmt.Println("preempted", preempt())
	fmt.Println("fault", nilFault())
	fmt.Println("signal", signals())
	fmt.Println("timers", timers())
	fmt.Println("files", files())
}
