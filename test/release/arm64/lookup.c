/* Looks a name up with getaddrinfo(3), and prints its addresses. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

int main(int argc, char **argv) {
  struct addrinfo *found = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  int failed = argc < 2 ? EAI_NONAME : getaddrinfo(argv[1], NULL, &hints, &found);
  if (failed != 0) {
    fprintf(stderr, "%s\n", gai_strerror(failed));
    return 1;
  }
  for (struct addrinfo *one = found; one != NULL; one = one->ai_next) {
    char text[INET_ADDRSTRLEN];
    struct sockaddr_in *address = (struct sockaddr_in *) one->ai_addr;
    puts(inet_ntop(AF_INET, &address->sin_addr, text, sizeof text));
  }
  freeaddrinfo(found);
  return 0;
}
