/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Trains a classifier of handwritten digits on an Ascend device, with nothing but AscendCL and aclnn operators.
 *
 * A multi-layer perceptron, 64 inputs - 128 hidden - 10 classes, learns four fifths of the images with Adam; the
 * rest tells how well it does. Batches travel to HBM on one stream while the previous one is learned on another;
 * events keep the two in order.
 */
#define _POSIX_C_SOURCE 200809L
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "acl/acl.h"
#include "aclnnop/aclnn_add.h"
#include "aclnnop/aclnn_addcdiv.h"
#include "aclnnop/aclnn_addcmul.h"
#include "aclnnop/aclnn_addmm.h"
#include "aclnnop/aclnn_argmax.h"
#include "aclnnop/aclnn_div.h"
#include "aclnnop/aclnn_lerp.h"
#include "aclnnop/aclnn_logsoftmax.h"
#include "aclnnop/aclnn_logsoftmax_backward.h"
#include "aclnnop/aclnn_mm.h"
#include "aclnnop/aclnn_mul.h"
#include "aclnnop/aclnn_nll_loss.h"
#include "aclnnop/aclnn_nll_loss_backward.h"
#include "aclnnop/aclnn_reduce_sum.h"
#include "aclnnop/aclnn_relu.h"
#include "aclnnop/aclnn_sqrt.h"
#include "aclnnop/aclnn_threshold_backward.h"

enum { IMAGES = 1797, PIXELS = 64, HIDDEN = 128, CLASSES = 10, BATCH = 64, PARAMETERS = 4 };

/* Ends the program with what the device says if a call did not succeed. */
#define CHECK(call)                                                                                \
	do {                                                                                       \
		int status_ = (call);                                                              \
		if (status_ != 0) {                                                                \
			const char *why_ = aclGetRecentErrMsg();                                   \
			fprintf(stderr, "%s:%d: %s: error %d: %s\n", __FILE__, __LINE__, #call, status_, \
				why_ ? why_ : "no message");                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* Runs an operator: its arguments to phase 1, a workspace if it wants one, then phase 2. */
#define OP(name, ...)                                                                              \
	do {                                                                                       \
		uint64_t size_ = 0;                                                                \
		aclOpExecutor *executor_ = NULL;                                                   \
		CHECK(name##GetWorkspaceSize(__VA_ARGS__, &size_, &executor_));                    \
		CHECK(name(workspace(size_), size_, executor_, compute));                          \
		operators++;                                                                       \
	} while (0)

static aclrtStream compute, copies;
static unsigned long operators;

/* One workspace serves all operators, since they run in order; it grows only between steps' first uses. */
static void *workspace(uint64_t size)
{
	static void *space;
	static uint64_t have;

	if (size > have) {
		CHECK(aclrtSynchronizeStream(compute));
		if (space)
			CHECK(aclrtFree(space));
		CHECK(aclrtMalloc(&space, size, ACL_MEM_MALLOC_HUGE_FIRST));
		have = size;
	}
	return space;
}

/* Memory on the device and the tensor over it. */
struct array {
	void *data;
	size_t bytes;
	aclTensor *tensor;
};

static aclTensor *view(void *data, aclDataType type, int rank, const int64_t *dims, const int64_t *strides)
{
	int64_t count = 1;
	aclTensor *tensor;

	for (int i = 0; i < rank; i++)
		count *= dims[i];
	tensor = aclCreateTensor(dims, (uint64_t)rank, type, strides, 0, ACL_FORMAT_ND, &count, 1, data);
	if (!tensor) {
		fprintf(stderr, "aclCreateTensor: %s\n", aclGetRecentErrMsg());
		exit(1);
	}
	return tensor;
}

static struct array array(aclDataType type, int rank, const int64_t *dims)
{
	struct array a = { .bytes = aclDataTypeSize(type) };

	for (int i = 0; i < rank; i++)
		a.bytes *= (size_t)dims[i];
	CHECK(aclrtMalloc(&a.data, a.bytes, ACL_MEM_MALLOC_HUGE_FIRST));
	CHECK(aclrtMemset(a.data, a.bytes, 0, a.bytes));
	a.tensor = view(a.data, type, rank, dims, NULL);
	return a;
}

static struct array matrix(int64_t rows, int64_t columns)
{
	return array(ACL_FLOAT, 2, (int64_t[]){ rows, columns });
}

static struct array vector(int64_t n)
{
	return array(ACL_FLOAT, 1, &n);
}

/* The same memory as a matrix with rows and columns exchanged. */
static aclTensor *transposed(struct array a, int64_t rows, int64_t columns)
{
	return view(a.data, ACL_FLOAT, 2, (int64_t[]){ columns, rows }, (int64_t[]){ 1, columns });
}

static void upload(struct array a, const void *from)
{
	CHECK(aclrtMemcpy(a.data, a.bytes, from, a.bytes, ACL_MEMCPY_HOST_TO_DEVICE));
}

static aclScalar *number(float value)
{
	return aclCreateScalar(&value, ACL_FLOAT);
}

/* Numbers that are the same on every machine: xorshift64*. */
static uint64_t seed = 0x2545f4914f6cdd1dULL;

static double uniform(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (double)((seed * 0x2545f4914f6cdd1dULL) >> 11) / 9007199254740992.0;
}

/* A parameter, its gradient and Adam's two moments. */
struct parameter {
	struct array value, grad, mean, square, scratch;
};

static struct parameter parameter(int64_t rows, int64_t columns, double bound)
{
	struct parameter p;
	int64_t n = rows * columns;
	float *init = malloc((size_t)n * sizeof(*init));

	if (!init)
		exit(1);
	for (int64_t i = 0; i < n; i++)
		init[i] = (float)((2 * uniform() - 1) * bound);
	struct array *all[] = { &p.value, &p.grad, &p.mean, &p.square, &p.scratch };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] = rows == 1 ? vector(columns) : matrix(rows, columns);
	upload(p.value, init);
	free(init);
	return p;
}

static aclScalar *one, *zero, *beta1_left, *beta2, *beta2_left, *epsilon;

/* One step of Adam, composed as PyTorch composes it. */
static void adam(struct parameter *p, float rate, int step)
{
	float correction1 = 1 - powf(0.9f, (float)step), correction2 = 1 - powf(0.999f, (float)step);
	aclScalar *root = number(sqrtf(correction2)), *minus_rate = number(-rate / correction1);

	OP(aclnnInplaceLerps, p->mean.tensor, p->grad.tensor, beta1_left);
	OP(aclnnInplaceMuls, p->square.tensor, beta2);
	OP(aclnnInplaceAddcmul, p->square.tensor, p->grad.tensor, p->grad.tensor, beta2_left);
	OP(aclnnSqrt, p->square.tensor, p->scratch.tensor);
	OP(aclnnInplaceDivs, p->scratch.tensor, root);
	OP(aclnnInplaceAdds, p->scratch.tensor, epsilon, one);
	OP(aclnnInplaceAddcdiv, p->value.tensor, p->mean.tensor, p->scratch.tensor, minus_rate);
	CHECK(aclDestroyScalar(root));
	CHECK(aclDestroyScalar(minus_rate));
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load(const char *path, float *pixels, int64_t *labels)
{
	FILE *f = fopen(path, "r");

	if (!f) {
		fprintf(stderr, "%s: cannot be opened; name the file with --data\n", path);
		exit(1);
	}
	for (int i = 0; i < IMAGES; i++) {
		int ok = 1, label = 0;

		for (int j = 0; j < PIXELS && ok; j++) {
			ok = fscanf(f, "%f,", &pixels[i * PIXELS + j]) == 1;
			pixels[i * PIXELS + j] /= 16;
		}
		if (!ok || fscanf(f, "%d", &label) != 1 || label < 0 || label >= CLASSES) {
			fprintf(stderr, "%s:%d: not 64 pixels and a digit\n", path, i + 1);
			exit(1);
		}
		labels[i] = label;
	}
	fclose(f);
}

static void shuffle(int *order, int n)
{
	for (int i = n - 1; i > 0; i--) {
		int j = (int)(uniform() * (i + 1)), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

static void progress(int epoch, int epochs, float loss, double rate)
{
	static const char full[] = "########################################";
	int width = 40, done = epoch * width / epochs;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r[%.*s%*s] epoch %3d/%d  loss %.4f  %6.0f operators/s ", done, full, width - done, "",
			epoch, epochs, loss, rate);
	else if (epoch == epochs || epoch % 10 == 0)
		fprintf(stderr, "epoch %3d/%d  loss %.4f  %6.0f operators/s\n", epoch, epochs, loss, rate);
}

static void usage(const char *name)
{
	printf("Usage: %s [--data FILE] [--epochs N] [--device N] [--rate R]\n\n"
	       "Trains a classifier of 8x8 handwritten digits on an Ascend device.\n\n"
	       "  --data FILE   lines of 64 pixels (0 to 16) and the digit [tests/data/digits/digits.csv]\n"
	       "  --epochs N    passes over the training images [30]\n"
	       "  --device N    device, that is die, to train on [0]\n"
	       "  --rate R      learning rate of Adam [0.003]\n\n"
	       "Ends with 0 if at least 95 %% of the held-out fifth are recognised.\n", name);
}

int main(int argc, char **argv)
{
	static float pixels[IMAGES * PIXELS];
	static int64_t labels[IMAGES];
	static int order[IMAGES];
	const char *data = "tests/data/digits/digits.csv";
	int epochs = 30, device = 0, option;
	float rate = 0.003f;
	static const struct option options[] = {
		{ "data", required_argument, NULL, 'd' },   { "epochs", required_argument, NULL, 'e' },
		{ "device", required_argument, NULL, 'n' }, { "rate", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd': data = optarg; break;
		case 'e': epochs = atoi(optarg); break;
		case 'n': device = atoi(optarg); break;
		case 'r': rate = (float)atof(optarg); break;
		case 'h': usage(argv[0]); return 0;
		default: usage(argv[0]); return 2;
		}
	}
	if (epochs < 1) {
		usage(argv[0]);
		return 2;
	}

	load(data, pixels, labels);
	for (int i = 0; i < IMAGES; i++)
		order[i] = i;
	shuffle(order, IMAGES);
	const int train = IMAGES - IMAGES / 5, test = IMAGES / 5, batches = train / BATCH;

	CHECK(aclInit(NULL));
	CHECK(aclrtSetDevice(device));
	CHECK(aclrtCreateStream(&compute));
	CHECK(aclrtCreateStream(&copies));
	printf("device %d: %s; %d images to learn, %d held out\n", device, aclrtGetSocName(), train, test);

	one = number(1);
	zero = number(0);
	beta1_left = number(0.1f);
	beta2 = number(0.999f);
	beta2_left = number(0.001f);
	epsilon = number(1e-8f);

	/* Parameters in the order weight 1, bias 1, weight 2, bias 2. */
	struct parameter p[PARAMETERS] = {
		parameter(PIXELS, HIDDEN, 1 / sqrt(PIXELS)), parameter(1, HIDDEN, 1 / sqrt(PIXELS)),
		parameter(HIDDEN, CLASSES, 1 / sqrt(HIDDEN)), parameter(1, CLASSES, 1 / sqrt(HIDDEN)),
	};

	/* Two batches, so that one can arrive while the other is learned. Host sides are pinned. */
	struct array x[2], y[2];
	aclTensor *x_transposed[2];
	float *host_x[2];
	int64_t *host_y[2];
	aclrtEvent arrived[2], learned[2];
	for (int i = 0; i < 2; i++) {
		int64_t n = BATCH;

		x[i] = matrix(BATCH, PIXELS);
		x_transposed[i] = transposed(x[i], BATCH, PIXELS);
		y[i] = array(ACL_INT64, 1, &n);
		CHECK(aclrtMallocHost((void **)&host_x[i], x[i].bytes));
		CHECK(aclrtMallocHost((void **)&host_y[i], y[i].bytes));
		CHECK(aclrtCreateEvent(&arrived[i]));
		CHECK(aclrtCreateEvent(&learned[i]));
	}

	struct array hidden = matrix(BATCH, HIDDEN), active = matrix(BATCH, HIDDEN), logits = matrix(BATCH, CLASSES);
	struct array likely = matrix(BATCH, CLASSES), grad_likely = matrix(BATCH, CLASSES);
	struct array grad_logits = matrix(BATCH, CLASSES), grad_active = matrix(BATCH, HIDDEN);
	struct array grad_hidden = matrix(BATCH, HIDDEN), weight = vector(CLASSES);
	struct array loss = array(ACL_FLOAT, 0, NULL), total = array(ACL_FLOAT, 0, NULL), seed_grad = array(ACL_FLOAT, 0, NULL);
	aclTensor *active_transposed = transposed(active, BATCH, HIDDEN);
	aclTensor *weight2_transposed = transposed(p[2].value, HIDDEN, CLASSES);
	aclIntArray *rows = aclCreateIntArray((int64_t[]){ 0 }, 1);
	float ones[CLASSES];
	for (int i = 0; i < CLASSES; i++)
		ones[i] = 1;
	upload(weight, ones);
	upload(seed_grad, ones);

	double start = now();
	int step = 0;
	float shown = 0;
	for (int epoch = 1; epoch <= epochs; epoch++) {
		shuffle(order, train);
		for (int b = 0; b < batches; b++, step++) {
			int slot = step % 2;

			/* Both the host's and the device's side of the slot are free when the step before last is done. */
			if (step >= 2) {
				CHECK(aclrtSynchronizeEvent(arrived[slot]));
				CHECK(aclrtStreamWaitEvent(copies, learned[slot]));
			}
			for (int i = 0; i < BATCH; i++) {
				int from = order[b * BATCH + i];

				memcpy(host_x[slot] + i * PIXELS, pixels + from * PIXELS, PIXELS * sizeof(float));
				host_y[slot][i] = labels[from];
			}
			CHECK(aclrtMemcpyAsync(x[slot].data, x[slot].bytes, host_x[slot], x[slot].bytes,
					       ACL_MEMCPY_HOST_TO_DEVICE, copies));
			CHECK(aclrtMemcpyAsync(y[slot].data, y[slot].bytes, host_y[slot], y[slot].bytes,
					       ACL_MEMCPY_HOST_TO_DEVICE, copies));
			CHECK(aclrtRecordEvent(arrived[slot], copies));
			CHECK(aclrtStreamWaitEvent(compute, arrived[slot]));

			OP(aclnnAddmm, p[1].value.tensor, x[slot].tensor, p[0].value.tensor, one, one, hidden.tensor, 0);
			OP(aclnnRelu, hidden.tensor, active.tensor);
			OP(aclnnAddmm, p[3].value.tensor, active.tensor, p[2].value.tensor, one, one, logits.tensor, 0);
			OP(aclnnLogSoftmax, logits.tensor, 1, likely.tensor);
			OP(aclnnNLLLoss, likely.tensor, y[slot].tensor, weight.tensor, 1, -100, loss.tensor, total.tensor);

			OP(aclnnNLLLossBackward, seed_grad.tensor, likely.tensor, y[slot].tensor, weight.tensor, 1, -100,
			   total.tensor, grad_likely.tensor);
			OP(aclnnLogSoftmaxBackward, grad_likely.tensor, likely.tensor, 1, grad_logits.tensor);
			OP(aclnnMm, active_transposed, grad_logits.tensor, p[2].grad.tensor, 0);
			OP(aclnnReduceSum, grad_logits.tensor, rows, false, ACL_FLOAT, p[3].grad.tensor);
			OP(aclnnMm, grad_logits.tensor, weight2_transposed, grad_active.tensor, 0);
			OP(aclnnThresholdBackward, grad_active.tensor, hidden.tensor, zero, grad_hidden.tensor);
			OP(aclnnMm, x_transposed[slot], grad_hidden.tensor, p[0].grad.tensor, 0);
			OP(aclnnReduceSum, grad_hidden.tensor, rows, false, ACL_FLOAT, p[1].grad.tensor);
			for (int i = 0; i < PARAMETERS; i++)
				adam(&p[i], rate, step + 1);
			CHECK(aclrtRecordEvent(learned[slot], compute));
		}
		CHECK(aclrtSynchronizeStream(compute));
		CHECK(aclrtMemcpy(&shown, sizeof(shown), loss.data, loss.bytes, ACL_MEMCPY_DEVICE_TO_HOST));
		progress(epoch, epochs, shown, (double)operators / (now() - start));
	}
	double seconds = now() - start;
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);

	/* The held-out fifth, in one batch. */
	int64_t n = test;
	struct array tx = matrix(test, PIXELS), th = matrix(test, HIDDEN), tl = matrix(test, CLASSES);
	struct array best = array(ACL_INT64, 1, &n);
	float *images = malloc(tx.bytes);
	int64_t *answer = malloc(best.bytes);
	if (!images || !answer)
		return 1;
	for (int i = 0; i < test; i++)
		memcpy(images + i * PIXELS, pixels + order[train + i] * PIXELS, PIXELS * sizeof(float));
	upload(tx, images);
	OP(aclnnAddmm, p[1].value.tensor, tx.tensor, p[0].value.tensor, one, one, th.tensor, 0);
	OP(aclnnInplaceRelu, th.tensor);
	OP(aclnnAddmm, p[3].value.tensor, th.tensor, p[2].value.tensor, one, one, tl.tensor, 0);
	OP(aclnnArgMax, tl.tensor, 1, false, best.tensor);
	CHECK(aclrtSynchronizeStream(compute));
	CHECK(aclrtMemcpy(answer, best.bytes, best.data, best.bytes, ACL_MEMCPY_DEVICE_TO_HOST));
	int right = 0;
	for (int i = 0; i < test; i++)
		right += answer[i] == labels[order[train + i]];
	double accuracy = 100.0 * right / test;
	printf("trained %d steps, %lu operators in %.2f s (%.1f us per operator)\n", step, operators, seconds,
	       seconds / (double)operators * 1e6);
	printf("held-out accuracy: %.2f %% (%d of %d)\n", accuracy, right, test);

	free(images);
	free(answer);
	CHECK(aclrtDestroyStream(compute));
	CHECK(aclrtDestroyStream(copies));
	CHECK(aclrtResetDevice(device));
	CHECK(aclFinalize());
	if (accuracy < 95) {
		fprintf(stderr, "that is less than 95 %%\n");
		return 1;
	}
	return 0;
}
