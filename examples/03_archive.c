/* Hidden states of a file into an archive and back: 03_archive IN.npy FOLDER */
#include <stdio.h>

#include "sluice/sluice.h"

int main(int argc, char** argv) {
  char archive[1024], back[1024];
  if (argc != 3) return 2;
  snprintf(archive, sizeof(archive), "%s/hidden.sla", argv[2]);
  snprintf(back, sizeof(back), "%s/back.npy", argv[2]);
  if (sluice_archive_pack(argv[1], NULL, archive, SLUICE_LOSSLESS, 0) != SLUICE_OK ||
      sluice_archive_unpack(archive, back, 0, 0) != SLUICE_OK) {
    fprintf(stderr, "%s\n", sluice_last_error());
    return 1;
  }
  printf("%s holds %s, and %s is it again\n", archive, argv[1], back);
  return 0;
}
