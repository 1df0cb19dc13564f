// Publisher loops pre-encoded clips into a LiveKit room. It encodes nothing, so it costs next to nothing.
//
// It speaks JSON on stdout, a line each: {"event": …} when something happened, {"ok": …} in answer to a command.
// Commands come as lines on stdin (--control -) or on a Unix socket (--control PATH):
//
//	mute|unmute video|audio|screen
//	unpublish video|audio|screen
//	publish video|audio|screen CLIP[,CLIP,CLIP] [encrypted] [dtx]
//	switch [video|screen] CLIP[,CLIP,CLIP]     another size of the same codec in the same track, at a key frame
//	leave, return                              disconnect; join again, under a new sid
//	permission restrict|allow                  who may subscribe: nobody, or everybody
//	stats, status
//	quit
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	protoLogger "github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

func clipDirectory() string {
	if cache := os.Getenv("HAVEN_RIG_CACHE"); cache != "" {
		return filepath.Join(cache, "clips")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "clips"
	}
	return filepath.Join(cache, "haven-live", "rig", "clips")
}

func main() {
	s := &session{wanted: map[string]trackOptions{}, stats: map[string]*trackStats{}}
	flag.StringVar(&s.url, "url", "ws://127.0.0.1:7880", "LiveKit server")
	flag.StringVar(&s.info.APIKey, "api-key", os.Getenv("LIVEKIT_API_KEY"), "")
	flag.StringVar(&s.info.APISecret, "api-secret", os.Getenv("LIVEKIT_API_SECRET"), "")
	flag.StringVar(&s.info.RoomName, "room", "demo", "")
	flag.StringVar(&s.info.ParticipantIdentity, "identity", "streamer", "")
	flag.StringVar(&s.info.ParticipantName, "name", "", "")
	flag.StringVar(&s.dir, "clips", clipDirectory(), "directory of clips")
	video := flag.String("video", "", "clip, or codec with --simulcast, or three clips low,mid,high")
	simulcast := flag.Bool("simulcast", false, "three layers: CODEC-180, CODEC-360, CODEC-720")
	screen := flag.String("screen", "", "clip to share as a screen")
	audio := flag.String("audio", "", "clip")
	encrypted := flag.Bool("encrypted", false, "announce the tracks as end-to-end encrypted")
	dtx := flag.Bool("dtx", false, "send nothing while the audio is silent")
	flag.Float64Var(&s.ppm, "ppm", 0, "by how many millionths our clock is faster than this machine's")
	control := flag.String("control", "", "- for stdin, or the path of a Unix socket to make")
	logPath := flag.String("log", "", "file for a line 'counter monotonic_ns pts_ns' a picture sent")
	verbose := flag.Bool("verbose", false, "log what the SDK does")
	flag.Parse()

	if !*verbose {
		lksdk.SetLogger(protoLogger.LogRLogger(logr.Discard()))
	}
	if *simulcast {
		codec := strings.SplitN(*video, "-", 2)[0]
		*video = fmt.Sprintf("%[1]s-180,%[1]s-360,%[1]s-720", codec)
	}
	for name, clips := range map[string]string{"video": *video, "audio": *audio, "screen": *screen} {
		if clips != "" {
			s.wanted[name] = trackOptions{strings.Split(clips, ","), defaultSource(name), *encrypted, *dtx}
		}
	}
	if *logPath != "" {
		log, err := os.Create(*logPath)
		if err != nil {
			fail(err)
		}
		s.log = log
	}
	var stdout sync.Mutex
	s.event = func(name string, fields map[string]any) {
		stdout.Lock()
		defer stdout.Unlock()
		writeLine(os.Stdout, "event", name, fields)
	}

	// In place before joining: a server that is slow to answer must not make us deaf.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	quit := make(chan struct{})
	go func() {
		if err := s.join(); err != nil {
			fail(err)
		}
		if *control == "" {
			return
		}
		if err := s.listen(*control, &stdout); err != nil && err != errQuit {
			fail(err)
		}
		close(quit)
	}()
	select {
	case <-signals:
		signal.Stop(signals) // a second signal ends it at once
	case <-quit:
	}
	s.command("quit")
	if *control != "" && *control != "-" {
		os.Remove(*control)
	}
}

// listen obeys stdin until it ends, so that nothing is left behind by a test that dies; or, at a socket, until quit.
func (s *session) listen(control string, stdout *sync.Mutex) error {
	if control == "-" {
		return s.obey(os.Stdin, os.Stdout, stdout)
	}
	listener, err := net.Listen("unix", control)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				if errors.Is(s.obey(connection, connection, &sync.Mutex{}), errQuit) {
					close(done)
				}
			}()
		}
	}()
	<-done
	return nil
}

func (s *session) obey(in io.Reader, out io.Writer, lock *sync.Mutex) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields, err := s.command(lines.Text())
		if fields == nil {
			fields = map[string]any{}
		}
		if err != nil && err != errQuit {
			fields["error"] = err.Error()
		}
		lock.Lock()
		writeLine(out, "ok", err == nil || err == errQuit, fields)
		lock.Unlock()
		if err == errQuit {
			return err
		}
	}
	return lines.Err()
}

func writeLine(out io.Writer, key string, value any, fields map[string]any) {
	line := map[string]any{key: value}
	for k, v := range fields {
		line[k] = v
	}
	data, err := json.Marshal(line)
	if err != nil {
		fail(err)
	}
	out.Write(append(data, '\n'))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "publisher:", err)
	os.Exit(1)
}
