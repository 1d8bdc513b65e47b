#include "tests/unit/bindings/c/fake_peer.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "freshet.pb-c.h"
#include "protocol/base/assert.h"
#include "tests/unit/bindings/c/fake_server.h"

static void subscribed(struct fake_server *fake, const struct fake_frame *frame)
{
    struct bytes body = fake_body(fake, frame);
    Freshet__Subscribe *message = freshet__subscribe__unpack(NULL, body.size, body.data);
    ASSERT(message != NULL);
    fake_subscribed(fake, frame->header.id, "p0");
    if (message->invalidate) {
        fake_invalidate(fake, frame->header.id, "p0", true, 0, NULL, NULL);
    } else {
        uint8_t room[256];
        struct bytes change = fake_insert(room, sizeof(room), "a", 1);
        fake_change(fake, frame->header.id, FRAME_CHANGE, "p1", change);
    }
    freshet__subscribe__free_unpacked(message, NULL);
}

static void answer(struct fake_peer *peer, struct fake_server *fake, struct fake_frame *frame)
{
    static const char *const FEATURES[] = {"json", "invalidate", "checked"};
    switch (frame->header.opcode) {
    case FRAME_HELLO:
        fake_welcome(fake, FEATURES, 3);
        break;
    case FRAME_SUBSCRIBE:
        subscribed(fake, frame);
        break;
    case FRAME_GET:
        peer->gets++;
        fake_state(fake, frame->header.id, 200, 5, "{\"id\":\"1\"}");
        break;
    case FRAME_PUT:
        fake_written(fake, frame->header.id, 200, "1", 6);
        break;
    case FRAME_PING:
        fake_pong(fake, frame->header.id);
        break;
    default: /* CREDIT, UNSUBSCRIBE: not needed here */
        break;
    }
}

/* False: it hangs up. */
static bool take(struct fake_peer *peer, struct fake_server *fake)
{
    while (fake->told < fake->seen_count) {
        struct fake_frame frame = fake->seen[fake->told++];
        bool is_due = frame.header.opcode == peer->opcode && peer->times > 0;
        if (!is_due || peer->mood == FAKE_ANSWERS) {
            answer(peer, fake, &frame);
            continue;
        }
        peer->times--;
        if (peer->mood == FAKE_HANGS_UP) {
            return false;
        }
        if (peer->mood == FAKE_TALKS_RUBBISH) {
            fake_say_raw(fake, BYTES_LITERAL("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                             "\xFF\xFF\xFF"));
        }
    }
    /* A long run forgets what it has seen. */
    buffer_clear(&fake->in);
    fake->parsed = 0;
    fake->seen_count = 0;
    fake->told = 0;
    return true;
}

/* False: the thread is to end. */
static bool wait_for(const struct fake_peer *peer, int descriptor)
{
    struct pollfd waiting[] = {{.fd = descriptor, .events = POLLIN},
                               {.fd = peer->stop[0], .events = POLLIN}};
    return poll(waiting, 2, -1) > 0 && waiting[1].revents == 0;
}

static bool serve(struct fake_peer *peer, int connection)
{
    struct fake_server fake;
    uint8_t bytes[4096];
    bool goes_on = true;
    fake_init(&fake);
    while ((goes_on = wait_for(peer, connection))) {
        ssize_t size = recv(connection, bytes, sizeof(bytes), 0);
        if (size <= 0) {
            break;
        }
        fake_hear(&fake, bytes_of(bytes, (size_t)size));
        bool stays = take(peer, &fake);
        struct bytes out = buffer_bytes(&fake.out);
        if (out.size > 0) {
            (void)!send(connection, out.data, out.size, MSG_NOSIGNAL);
            buffer_clear(&fake.out);
        }
        if (!stays) {
            break;
        }
    }
    fake_deinit(&fake);
    close(connection);
    return goes_on;
}

static void *run(void *context)
{
    struct fake_peer *peer = context;
    bool goes_on = true;
    while (goes_on && wait_for(peer, peer->listener)) {
        int connection = accept(peer->listener, NULL, NULL);
        if (connection >= 0) {
            peer->connections++;
            goes_on = serve(peer, connection);
        }
    }
    return NULL;
}

static void must(int result)
{
    ASSERT(result == 0);
}

void fake_peer_start(struct fake_peer *peer, enum fake_mood mood, uint8_t opcode, unsigned times)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *peer = (struct fake_peer){.mood = mood, .opcode = opcode, .times = times};
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(peer->listener, (struct sockaddr *)&address, size));
    must(listen(peer->listener, 8));
    must(getsockname(peer->listener, (struct sockaddr *)&address, &size));
    must(pipe(peer->stop));
    snprintf(peer->url, sizeof(peer->url), "freshet://127.0.0.1:%u", ntohs(address.sin_port));
    must(pthread_create(&peer->thread, NULL, run, peer));
}

void fake_peer_stop(struct fake_peer *peer)
{
    close(peer->stop[1]);
    pthread_join(peer->thread, NULL);
    close(peer->stop[0]);
    close(peer->listener);
}
