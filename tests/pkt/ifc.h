/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table that packetdrill's --so_filename hands us to fill: the order and the types of its
 * members are the interface. Calls answer as the system calls of the same name do (-1 and
 * errno); userdata is given back in each.
 */
#ifndef TESTS_PKT_IFC_H
#define TESTS_PKT_IFC_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct pkt_ifc {
	void *userdata;
	void (*free)(void *userdata);
	int (*socket)(void *userdata, int domain, int type, int protocol);
	int (*bind)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
	int (*listen)(void *userdata, int fd, int backlog);
	int (*accept)(void *userdata, int fd, struct sockaddr *addr, socklen_t *len);
	int (*connect)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
	ssize_t (*read)(void *userdata, int fd, void *buf, size_t n);
	ssize_t (*readv)(void *userdata, int fd, const struct iovec *iov, int nr);
	ssize_t (*recv)(void *userdata, int fd, void *buf, size_t n, int flags);
	ssize_t (*recvfrom)(void *userdata, int fd, void *buf, size_t n, int flags,
			    struct sockaddr *addr, socklen_t *len);
	ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *msg, int flags);
	ssize_t (*write)(void *userdata, int fd, const void *buf, size_t n);
	ssize_t (*writev)(void *userdata, int fd, const struct iovec *iov, int nr);
	ssize_t (*send)(void *userdata, int fd, const void *buf, size_t n, int flags);
	ssize_t (*sendto)(void *userdata, int fd, const void *buf, size_t n, int flags,
			  const struct sockaddr *addr, socklen_t len);
	ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *msg, int flags);
	int (*fcntl)(void *userdata, int fd, int cmd, ...);
	int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
	int (*close)(void *userdata, int fd);
	int (*shutdown)(void *userdata, int fd, int how);
	int (*getsockopt)(void *userdata, int fd, int level, int opt, void *val, socklen_t *len);
	int (*setsockopt)(void *userdata, int fd, int level, int opt, const void *val,
			  socklen_t len);
	int (*poll)(void *userdata, struct pollfd *fds, nfds_t nr, int timeout_ms);
	/* netdev_send - a packet of n bytes, from its IP header on, reaches the stack. 0 or -1. */
	int (*netdev_send)(void *userdata, const void *buf, size_t n);
	/* netdev_receive - the next packet that the stack sends; *n is buf's size, then the
	 * packet's; *ret_usecs when it left. Waits for it, as no timeout is given. 0 or -1. */
	int (*netdev_receive)(void *userdata, void *buf, size_t *n, long long *ret_usecs);
	int (*usleep)(void *userdata, useconds_t usecs);
	int (*gettimeofday)(void *userdata, struct timeval *ret_tv, void *tz);
	int (*epoll_create)(void *userdata, int size);
	int (*epoll_ctl)(void *userdata, int epfd, int op, int fd, struct epoll_event *ev);
	int (*epoll_wait)(void *userdata, int epfd, struct epoll_event *evs, int max,
			  int timeout_ms);
	int (*pipe)(void *userdata, int fds[2]);
	/* the kernel's answers ssize_t; as published this is an int */
	int (*splice)(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out,
		      size_t n, unsigned int flags);
};

/* packetdrill_interface_init - the one name that packetdrill looks up. flags is its --so_flags:
 * "ip=192.168.0.1,mask=255.255.0.0,mtu=1500". Ends the process when the stack can't be made. */
__attribute__((visibility("default"))) void packetdrill_interface_init(const char *flags,
								       struct pkt_ifc *ifc);

#endif
