// Rigctl does to a room what an administrator can, and mints tokens. It answers in JSON; see usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const usage = `usage: rigctl COMMAND [OPTION...]

  token    --room R --identity I [--valid 10m] [--not-before 0s] [--kind standard] [--hidden] [--recorder]
           [--no-subscribe] [--no-publish] [--no-join] [--no-room] [--name N] [--attribute K=V,K=V] [--grant JSON]
           a negative --valid is expired, --not-before 90s is not valid yet; --grant adds to the video grant
  rooms
  list     --room R
  remove   --room R --identity I
  delete   --room R
  permit   --room R --identity I [--no-subscribe] [--no-publish] [--hidden]
  mute     --room R --identity I --track TR_x [--off]

Server and keys: --url, --api-key, --api-secret, or LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET.
`

type options struct {
	url, key, secret                                            string
	room, identity, name, track, kind, grant, attributes        string
	valid, notBefore                                            time.Duration
	noSubscribe, noPublish, noJoin, noRoom, hidden, record, off bool
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	var o options
	f := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	f.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	f.StringVar(&o.url, "url", os.Getenv("LIVEKIT_URL"), "")
	f.StringVar(&o.key, "api-key", os.Getenv("LIVEKIT_API_KEY"), "")
	f.StringVar(&o.secret, "api-secret", os.Getenv("LIVEKIT_API_SECRET"), "")
	f.StringVar(&o.room, "room", "demo", "")
	f.StringVar(&o.identity, "identity", "", "")
	f.StringVar(&o.name, "name", "", "")
	f.StringVar(&o.track, "track", "", "")
	f.StringVar(&o.kind, "kind", "", "")
	f.StringVar(&o.grant, "grant", "", "")
	f.StringVar(&o.attributes, "attribute", "", "")
	f.DurationVar(&o.valid, "valid", 10*time.Minute, "")
	f.DurationVar(&o.notBefore, "not-before", 0, "")
	f.BoolVar(&o.noSubscribe, "no-subscribe", false, "")
	f.BoolVar(&o.noPublish, "no-publish", false, "")
	f.BoolVar(&o.noJoin, "no-join", false, "")
	f.BoolVar(&o.noRoom, "no-room", false, "")
	f.BoolVar(&o.hidden, "hidden", false, "")
	f.BoolVar(&o.record, "recorder", false, "")
	f.BoolVar(&o.off, "off", false, "")
	f.Parse(os.Args[2:])

	err := run(os.Args[1], o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rigctl:", err)
		os.Exit(1)
	}
}

func run(command string, o options) error {
	if command == "token" {
		token, err := mint(o)
		if err == nil {
			fmt.Println(token)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := lksdk.NewRoomServiceClient(o.url, o.key, o.secret)
	who := &livekit.RoomParticipantIdentity{Room: o.room, Identity: o.identity}
	var answer proto.Message
	var err error
	switch command {
	case "rooms":
		answer, err = client.ListRooms(ctx, &livekit.ListRoomsRequest{})
	case "list":
		answer, err = client.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: o.room})
	case "remove":
		answer, err = client.RemoveParticipant(ctx, who)
	case "delete":
		answer, err = client.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: o.room})
	case "permit":
		answer, err = client.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
			Room: o.room, Identity: o.identity,
			Permission: &livekit.ParticipantPermission{
				CanSubscribe: !o.noSubscribe, CanPublish: !o.noPublish, CanPublishData: !o.noPublish, Hidden: o.hidden,
			},
		})
	case "mute":
		answer, err = client.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{
			Room: o.room, Identity: o.identity, TrackSid: o.track, Muted: !o.off,
		})
	default:
		return fmt.Errorf("unknown command %q\n\n%s", command, usage)
	}
	if err != nil {
		return err
	}
	fmt.Println(protojson.Format(answer))
	return nil
}

// mint writes the claims itself, because the SDK refuses to make the defects that tests need.
func mint(o options) (string, error) {
	grant := map[string]any{"canPublishData": !o.noPublish}
	if !o.noJoin {
		grant["roomJoin"] = true
	}
	if !o.noRoom {
		grant["room"] = o.room
	}
	if o.noSubscribe {
		grant["canSubscribe"] = false
	}
	if o.noPublish {
		grant["canPublish"] = false
	}
	if o.hidden {
		grant["hidden"] = true
	}
	if o.record {
		grant["recorder"] = true
	}
	if o.grant != "" {
		if err := json.Unmarshal([]byte(o.grant), &grant); err != nil {
			return "", fmt.Errorf("--grant: %w", err)
		}
	}
	now := time.Now()
	claims := map[string]any{
		"iss": o.key, "exp": now.Add(o.valid).Unix(), "nbf": now.Add(o.notBefore).Unix(), "video": grant,
	}
	for key, value := range map[string]string{"sub": o.identity, "name": o.name, "kind": o.kind} {
		if value != "" {
			claims[key] = value
		}
	}
	if o.attributes != "" {
		attributes := map[string]string{}
		for _, pair := range strings.Split(o.attributes, ",") {
			key, value, _ := strings.Cut(pair, "=")
			attributes[key] = value
		}
		claims["attributes"] = attributes
	}
	return sign(claims, o.secret)
}
