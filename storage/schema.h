/* schema.h - private to storage/: the numbered migrations. Step n takes a database of user_version n-1 to n;
 * a step that has been released is never edited, a change is a new step at the end. */
#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H

#define SCHEMA_APPLICATION_ID 0x51756e74 /* "Qunt": what `file` and other programs see in the header */

extern const char *const schema_steps[];
extern const int schema_version; /* number of steps */

#endif
