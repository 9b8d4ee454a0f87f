// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Temperature and power of each die. In C because Rust has no abstraction of hwmon. */
#include <linux/device.h>
#include <linux/hwmon.h>
#include <linux/slab.h>

#include "vinci.h"

/* Dies that a function has at most. */
#define DIES 8

struct sensors {
	const void *npu;
	u32 temperature[DIES + 1];
	u32 power[DIES + 1];
	struct hwmon_channel_info channels[2];
	const struct hwmon_channel_info *list[3];
	struct hwmon_chip_info chip;
	char labels[DIES][8];
};

static umode_t sensors_visible(const void *data, enum hwmon_sensor_types type, u32 attr,
			       int channel)
{
	return 0444;
}

static int sensors_read(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel,
			long *value)
{
	struct sensors *s = dev_get_drvdata(dev);
	s64 temperature_mc, power_mw;
	int ret = vinci_rs_sensors(s->npu, channel, &temperature_mc, &power_mw);

	if (ret)
		return ret;
	*value = type == hwmon_temp ? temperature_mc : power_mw * 1000;
	return 0;
}

static int sensors_label(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel,
			 const char **text)
{
	struct sensors *s = dev_get_drvdata(dev);

	*text = s->labels[channel];
	return 0;
}

static const struct hwmon_ops sensors_ops = {
	.is_visible = sensors_visible,
	.read = sensors_read,
	.read_string = sensors_label,
};

int vinci_hwmon_add(struct drm_device *drm, u32 dies)
{
	struct device *dev = drm->dev, *hwmon;
	struct sensors *s;
	u32 die;

	if (!IS_REACHABLE(CONFIG_HWMON))
		return 0;
	s = devm_kzalloc(dev, sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->npu = to_vinci(drm)->npu;
	for (die = 0; die < dies && die < DIES; die++) {
		s->temperature[die] = HWMON_T_INPUT | HWMON_T_LABEL;
		s->power[die] = HWMON_P_INPUT | HWMON_P_LABEL;
		snprintf(s->labels[die], sizeof(s->labels[die]), "die%u", die);
	}
	s->channels[0] = (struct hwmon_channel_info){ hwmon_temp, s->temperature };
	s->channels[1] = (struct hwmon_channel_info){ hwmon_power, s->power };
	s->list[0] = &s->channels[0];
	s->list[1] = &s->channels[1];
	s->chip.ops = &sensors_ops;
	s->chip.info = s->list;
	hwmon = devm_hwmon_device_register_with_info(dev, "vinci", s, &s->chip, NULL);
	return PTR_ERR_OR_ZERO(hwmon);
}
