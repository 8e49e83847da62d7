/* notify.h - what a service manager wants to know: datagrams to $NOTIFY_SOCKET. Without the variable,
 * nothing. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

void notify_send(const char *state); /* "READY=1", "STOPPING=1", "STATUS=..."; lines separated by newlines */

#endif
