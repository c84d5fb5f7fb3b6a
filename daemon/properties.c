/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/properties.h"

#include "daemon/names.h"
#include "daemon/server-query.h"

/* A read that waits for the worker. */
struct reading {
  struct wsd_server *server; /* holds a reference */
  struct wsd_call *call;
  char *name; /* NULL: all */
};

static void on_read(void *user) {
  struct reading *reading = user;
  if (reading->name)
    wsd_call_return(reading->call, g_variant_new("(v)", wsd_server_property(reading->server, reading->name)));
  else
    wsd_call_return(reading->call, g_variant_new("(@a{sv})", wsd_server_properties(reading->server)));
  wsd_server_unref(reading->server);
  g_free(reading->name);
  g_free(reading);
}

static void read_from_worker(struct wsd_server *server, struct wsd_call *call, const char *name) {
  struct reading *reading = g_new(struct reading, 1);
  *reading = (struct reading){wsd_server_ref(server), call, g_strdup(name)};
  wsd_query_counters(wsd_server_query(server), server, on_read, reading);
}

static GVariant *manager_properties(struct wsd_service *service, const GDBusInterfaceInfo *interface) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  for (GDBusPropertyInfo **property = interface->properties; *property; property++)
    g_variant_builder_add(&builder, "{sv}", (*property)->name, wsd_manager_property(service, (*property)->name));
  return g_variant_builder_end(&builder);
}

static void get(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call, const char *name) {
  if (!object->server)
    wsd_call_return(call, g_variant_new("(v)", wsd_manager_property(service, name)));
  else if (wsd_server_property_is_counter(name))
    read_from_worker(object->server, call, name);
  else
    wsd_call_return(call, g_variant_new("(v)", wsd_server_property(object->server, name)));
}

static void get_all(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call,
                    const char *interface) {
  bool ours = interface[0] == '\0' || g_str_equal(interface, object->interface->name);
  if (!ours)
    wsd_call_return(call, g_variant_new("(a{sv})", NULL)); /* the standard interfaces have none */
  else if (object->server)
    read_from_worker(object->server, call, NULL);
  else
    wsd_call_return(call, g_variant_new("(@a{sv})", manager_properties(service, object->interface)));
}

static bool is_known_interface(const struct wsd_object *object, const char *interface) {
  static const char *const standard[] = {DBUS_PROPERTIES_INTERFACE, DBUS_INTROSPECTABLE_INTERFACE, DBUS_PEER_INTERFACE,
                                         NULL};
  return interface[0] == '\0' || g_str_equal(interface, object->interface->name) ||
         g_strv_contains(standard, interface);
}

void wsd_properties_handle(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call,
                           const char *member) {
  const char *interface = NULL;
  const char *name = NULL;
  g_variant_get_child(call->arguments, 0, "&s", &interface);
  if (!is_known_interface(object, interface)) {
    wsd_call_fail_name(call, "org.freedesktop.DBus.Error.UnknownInterface", "this object has no interface %s",
                       interface);
    return;
  }
  if (g_str_equal(member, "GetAll")) {
    get_all(service, object, call, interface);
    return;
  }
  g_variant_get_child(call->arguments, 1, "&s", &name);
  bool ours = interface[0] == '\0' || g_str_equal(interface, object->interface->name);
  if (!ours || !g_dbus_interface_info_lookup_property((GDBusInterfaceInfo *)object->interface, name))
    wsd_call_fail_name(call, "org.freedesktop.DBus.Error.UnknownProperty", "there is no property %s", name);
  else if (g_str_equal(member, "Set"))
    wsd_call_fail_name(call, "org.freedesktop.DBus.Error.PropertyReadOnly", "the property %s cannot be set", name);
  else
    get(service, object, call, name);
}
