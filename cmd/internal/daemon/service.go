// Package daemon is what the mains of the two daemons share: strict
// configuration, logging, the metrics registry, and the frame around a run:
// signals, systemd's notifications, /metrics and /healthz.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/sdnotify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// NewLogger returns a logger of key=value lines at the given level: debug,
// info, warn or error. Lines carry no time: the journal adds it.
func NewLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: allowed are debug, info, warn, error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: l,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		},
	})), nil
}

// NewRegistry returns a registry with what every daemon exports: the metrics
// of the Go runtime and of the process, and NAME_build_info.
func NewRegistry(name string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		version.NewCollector(name),
	)
	return reg
}

// A Service is a daemon's work and what the outside sees of it.
type Service struct {
	Listen   string // TCP address of /metrics and /healthz; empty for none
	Registry *prometheus.Registry
	Log      *slog.Logger
	// Health says what is wrong, nil if nothing is.
	Health func() error
	// Notes are what else is wrong, a line each, and no reason to call the
	// daemon unhealthy; may be nil.
	Notes func() []string
	// Alive returns once the work goes on, or the context's error. Systemd's
	// watchdog is told only then. Nil: as long as the process lives.
	Alive func(context.Context) error
	// Run does the work until ctx ends, and calls ready once, when the daemon
	// does what it is there for.
	Run func(ctx context.Context, ready func()) error
}

// Serve runs the service until ctx ends, the process is asked to stop (SIGINT,
// SIGTERM) or something fails, and tells systemd (sd_notify(3)) when it is
// ready, alive and stopping. Being asked to stop is no error.
func (s Service) Serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	notifier, err := newNotifier()
	if err != nil {
		return err
	}
	defer notifier.Close()

	group, ctx := errgroup.WithContext(ctx)
	if s.Listen != "" {
		l, err := net.Listen("tcp", s.Listen)
		if err != nil {
			return fmt.Errorf("listening for /metrics and /healthz: %w%s", err, hint(err))
		}
		group.Go(func() error { return s.serveHTTP(ctx, l) })
	}
	group.Go(func() error {
		defer stop()
		return s.Run(ctx, func() {
			s.Log.Info("ready")
			notifier.notify(s.Log, sdnotify.Ready)
		})
	})
	group.Go(func() error { return notifier.watchdog(ctx, s.Log, s.Alive) })
	group.Go(func() error {
		<-ctx.Done()
		notifier.notify(s.Log, sdnotify.Stopping)
		return nil
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// hint names the likely cause of an error of listening.
func hint(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Sprintf(" (is another %s running?)", filepath.Base(os.Args[0]))
	}
	return ""
}

func (s Service) serveHTTP(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{
		Registry:            s.Registry,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		lines := []string{"ok"}
		if s.Notes != nil {
			lines = append(lines, s.Notes()...)
		}
		if err := s.Health(); err != nil {
			lines[0] = err.Error()
			http.Error(w, strings.Join(lines, "\n"), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	})
	server := &http.Server{
		Handler:      mux,
		ReadTimeout:  5 * time.Second,
		WriteTimeout: 15 * time.Second,
		ErrorLog:     slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving /metrics and /healthz: %w", err)
	}
	return nil
}

// notifier tells systemd how the daemon is; outside systemd it does nothing.
type notifier struct{ *sdnotify.Notifier }

func newNotifier() (notifier, error) {
	n, err := sdnotify.New()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return notifier{}, fmt.Errorf("opening the notification socket: %w", err)
	}
	return notifier{n}, nil
}

func (n notifier) notify(log *slog.Logger, state string) {
	if err := n.Notify(state); err != nil {
		log.Warn("systemd could not be notified", "state", state, "err", err)
	}
}

// watchdog reports life twice in each interval that systemd asks for, unless
// there is none.
func (n notifier) watchdog(ctx context.Context, log *slog.Logger, alive func(context.Context) error) error {
	interval, err := watchdogInterval(os.Getenv("WATCHDOG_USEC"))
	if err != nil || interval == 0 {
		return err
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := answers(ctx, interval/2, alive); err != nil && ctx.Err() == nil {
				log.Error("no sign of life for systemd's watchdog", "err", err)
				continue
			}
			n.notify(log, "WATCHDOG=1")
		}
	}
}

func answers(ctx context.Context, patience time.Duration, alive func(context.Context) error) error {
	if alive == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return alive(ctx)
}

// watchdogInterval parses WATCHDOG_USEC of sd_watchdog_enabled(3); empty means
// that nobody watches.
func watchdogInterval(usec string) (time.Duration, error) {
	if usec == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(usec + "us")
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q: a positive number of microseconds is wanted", usec)
	}
	return d, nil
}
