/* The limit: a ring and nothing else.
 *
 * One producer, one consumer, a memory file that both map, and the same calls as the bus has: `send(to, payload)`,
 * `send_many(to, payloads)`, iteration and `recv_many(most)` that give message objects. There is no routing, no check of
 * what the other process wrote, no sender, no sleep: who has to wait spins, and lets others run after a while. What an
 * extension module for CPython can do between two processes on this machine is about this, so a figure of the bus stands
 * beside this one.
 *
 * `bounce` is the machine probe's: a number that goes to and fro on one cache line shows how far apart two cores are.
 *
 * `benches/thin/__init__.py` compiles it when a benchmark asks for it. It is no part of the package.
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <structmember.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096
#define CAPACITY ((uint64_t)4 << 20)
/* So many pauses are spun before others are let run: longer than a message takes, shorter than anybody minds. */
#define PAUSES 500

/* What both processes write: each position on a line of its own, and that of its neighbour's prefetch. */
typedef struct {
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t ball;
} Shared;

typedef struct {
    PyObject_HEAD
    Shared *shared;
    char *data; /* mapped twice in a row, so that no record is ever cut in two */
    uint64_t head, tail; /* the own position, and the other's as last seen */
} Ring;

typedef struct {
    PyObject_HEAD
    PyObject *payload;
} Message;

static PyTypeObject *message_type;

static inline void pause_once(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* One turn of a wait; -1 with an error set where a signal's handler raised one. */
static int wait_turn(unsigned *turns) {
    if (++*turns < PAUSES) {
        pause_once();
        return 0;
    }
    sched_yield();
    return PyErr_CheckSignals();
}

static inline uint64_t record_size(uint64_t length) { return 8 + ((length + 7) & ~(uint64_t)7); }

/* Messages. */

static void message_dealloc(Message *self) {
    Py_XDECREF(self->payload);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef message_members[] = {
    {"payload", T_OBJECT_EX, offsetof(Message, payload), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot message_slots[] = {
    {Py_tp_dealloc, message_dealloc}, {Py_tp_members, message_members}, {0, NULL}};

static PyType_Spec message_spec = {
    "thin_ring.Message", sizeof(Message), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, message_slots};

/* The producer's side. */

static int push(Ring *self, PyObject *payload, int publish) {
    if (!PyBytes_CheckExact(payload)) {
        PyErr_Format(PyExc_TypeError, "payload is %R: give bytes", payload);
        return -1;
    }
    uint64_t length = (uint64_t)PyBytes_GET_SIZE(payload), need = record_size(length);
    if (need > CAPACITY) {
        PyErr_Format(PyExc_ValueError, "payload has %llu bytes: the ring is smaller", (unsigned long long)length);
        return -1;
    }
    unsigned turns = 0;
    while (self->head + need - self->tail > CAPACITY) {
        atomic_store_explicit(&self->shared->head, self->head, memory_order_release);
        self->tail = atomic_load_explicit(&self->shared->tail, memory_order_acquire);
        if (self->head + need - self->tail > CAPACITY && wait_turn(&turns) < 0)
            return -1;
    }
    char *place = self->data + self->head % CAPACITY;
    memcpy(place, &length, 8);
    memcpy(place + 8, PyBytes_AS_STRING(payload), length);
    self->head += need;
    if (publish)
        atomic_store_explicit(&self->shared->head, self->head, memory_order_release);
    return 0;
}

static PyObject *ring_send(Ring *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "send(to, payload)");
        return NULL;
    }
    return push(self, args[1], 1) < 0 ? NULL : PyLong_FromLong(1);
}

static PyObject *ring_send_many(Ring *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyList_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "send_many(to, list)");
        return NULL;
    }
    Py_ssize_t sent = 0;
    for (; sent < PyList_GET_SIZE(args[1]); sent++)
        if (push(self, PyList_GET_ITEM(args[1], sent), 0) < 0)
            return NULL;
    atomic_store_explicit(&self->shared->head, self->head, memory_order_release);
    return PyLong_FromSsize_t(sent);
}

/* The consumer's side. */

static int wait_for_record(Ring *self) {
    unsigned turns = 0;
    while (self->head == self->tail) {
        self->head = atomic_load_explicit(&self->shared->head, memory_order_acquire);
        if (self->head == self->tail && wait_turn(&turns) < 0)
            return -1;
    }
    return 0;
}

static PyObject *pop(Ring *self) {
    const char *place = self->data + self->tail % CAPACITY;
    uint64_t length;
    memcpy(&length, place, 8);
    PyObject *payload = PyBytes_FromStringAndSize(place + 8, (Py_ssize_t)length);
    if (payload == NULL)
        return NULL;
    Message *message = PyObject_New(Message, message_type);
    if (message == NULL) {
        Py_DECREF(payload);
        return NULL;
    }
    message->payload = payload;
    self->tail += record_size(length);
    return (PyObject *)message;
}

static PyObject *ring_next(Ring *self) {
    if (wait_for_record(self) < 0)
        return NULL;
    PyObject *message = pop(self);
    atomic_store_explicit(&self->shared->tail, self->tail, memory_order_release);
    return message;
}

static PyObject *ring_recv_many(Ring *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t most = count == 1 ? PyLong_AsSsize_t(args[0]) : -1;
    if (most < 1) {
        PyErr_SetString(PyExc_TypeError, "recv_many(most)");
        return NULL;
    }
    PyObject *found = PyList_New(0);
    if (found == NULL || wait_for_record(self) < 0) {
        Py_XDECREF(found);
        return NULL;
    }
    self->head = atomic_load_explicit(&self->shared->head, memory_order_acquire);
    while (self->head != self->tail && PyList_GET_SIZE(found) < most) {
        PyObject *message = pop(self);
        if (message == NULL || PyList_Append(found, message) < 0) {
            Py_XDECREF(message);
            Py_DECREF(found);
            return NULL;
        }
        Py_DECREF(message);
    }
    atomic_store_explicit(&self->shared->tail, self->tail, memory_order_release);
    return found;
}

/* Both. */

static PyObject *ring_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    static char *names[] = {"descriptor", NULL};
    int descriptor;
    if (!PyArg_ParseTupleAndKeywords(args, named, "i", names, &descriptor))
        return NULL;
    Ring *self = (Ring *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    int both = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    char *base = mmap(NULL, PAGE + 2 * CAPACITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mmap(base, PAGE + CAPACITY, both, fixed, descriptor, 0) == MAP_FAILED ||
        mmap(base + PAGE + CAPACITY, CAPACITY, both, fixed, descriptor, PAGE) == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        if (base != MAP_FAILED)
            munmap(base, PAGE + 2 * CAPACITY);
        Py_DECREF(self);
        return NULL;
    }
    self->shared = (Shared *)base;
    self->data = base + PAGE;
    return (PyObject *)self;
}

static void ring_dealloc(Ring *self) {
    if (self->shared != NULL)
        munmap(self->shared, PAGE + 2 * CAPACITY);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* bounce(first, count, done): a ball goes to and fro so often between two processes, as it has so often before;
 * nanoseconds for all of it. */
static PyObject *ring_bounce(Ring *self, PyObject *args) {
    int first;
    unsigned long long count, done = 0;
    if (!PyArg_ParseTuple(args, "pK|K", &first, &count, &done))
        return NULL;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t turn = done; turn < done + count; turn++) {
        unsigned turns = 0;
        if (first)
            atomic_store_explicit(&self->shared->ball, 2 * turn + 1, memory_order_release);
        while (atomic_load_explicit(&self->shared->ball, memory_order_acquire) != 2 * turn + (first ? 2 : 1))
            if (wait_turn(&turns) < 0)
                return NULL;
        if (!first)
            atomic_store_explicit(&self->shared->ball, 2 * turn + 2, memory_order_release);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return PyLong_FromLongLong((end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
}

static PyMethodDef ring_methods[] = {
    {"send", (PyCFunction)(void (*)(void))ring_send, METH_FASTCALL, NULL},
    {"send_many", (PyCFunction)(void (*)(void))ring_send_many, METH_FASTCALL, NULL},
    {"recv_many", (PyCFunction)(void (*)(void))ring_recv_many, METH_FASTCALL, NULL},
    {"bounce", (PyCFunction)ring_bounce, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ring_slots[] = {
    {Py_tp_new, ring_new},           {Py_tp_dealloc, ring_dealloc}, {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, ring_next},     {Py_tp_methods, ring_methods}, {0, NULL}};

static PyType_Spec ring_spec = {"thin_ring.Ring", sizeof(Ring), 0, Py_TPFLAGS_DEFAULT, ring_slots};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "thin_ring", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_thin_ring(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    message_type = (PyTypeObject *)PyType_FromSpec(&message_spec);
    PyObject *ring_type = PyType_FromSpec(&ring_spec);
    if (message_type == NULL || ring_type == NULL || PyModule_AddObject(module, "Ring", ring_type) < 0 ||
        PyModule_AddIntConstant(module, "SIZE", PAGE + (long)CAPACITY) < 0)
        return NULL;
    return module;
}
