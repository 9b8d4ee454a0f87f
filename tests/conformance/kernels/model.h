/* Kernels in model time: a device and a stream, what a launch takes there, and how far that is from what was published. */
#ifndef MODEL_H
#define MODEL_H

#include <cmath>

#include "check.h"

class ModelClock {
public:
    /* Of a chip, or of the one that is set. */
    explicit ModelClock(const char *chip = nullptr)
    {
        if (chip) {
            setenv("VINCI_CHIP", chip, 1);
        }
        setenv("VINCI_EVENT_CLOCK", "model", 1);
        OK(aclInit(nullptr));
        OK(aclrtSetDevice(0));
        OK(aclrtCreateStream(&stream));
        OK(aclrtCreateEvent(&begin_));
        OK(aclrtCreateEvent(&end_));
    }

    ~ModelClock()
    {
        OK(aclrtResetDeviceForce(0));
        OK(aclFinalize());
    }

    ModelClock(const ModelClock &) = delete;
    ModelClock &operator=(const ModelClock &) = delete;

    /* Microseconds of what is launched on the stream. */
    template <class Launch>
    double us(Launch launch)
    {
        OK(aclrtRecordEvent(begin_, stream));
        launch();
        OK(aclrtRecordEvent(end_, stream));
        OK(aclrtSynchronizeStream(stream));
        float ms = 0;
        OK(aclrtEventElapsedTime(&ms, begin_, end_));
        return ms * 1e3;
    }

    aclrtStream stream;

private:
    aclrtEvent begin_, end_;
};

/* Whether it took what was published, to a quarter. */
inline bool as_published(const char *name, double us, double published)
{
    const double off = us / published - 1;
    std::printf("%-32s %12.2f us, published %12.2f, %+.1f %%\n", name, us, published, off * 100);
    return std::fabs(off) <= 0.25;
}

#endif
